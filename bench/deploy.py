"""Measures deployments side by side and writes the tables of docs/benchmarks.md; started by bench/deploy.sh.

Runs are interleaved (A B C A B C ...), each a whole process from start to exit, so that whatever else the machine
does falls on all of them. Every run is checked: what is timed as a no-op must have said that nothing was to be done.
"""
import argparse
import os
import subprocess
import sys
import time

import report
from droplets import ONE_WAY_MS, Droplet, Lab

SECTIONS = ("noop", "rivals", "first", "rest")


class Subject:
    """One thing that is timed: `begin` gives its command line and environment, `proof` must stand in its output."""

    def __init__(self, name, begin, proof=""):
        self.name, self.begin, self.proof = name, begin, proof
        self.seconds = []

    def run(self, stdin=None, record=True):
        command, environment = self.begin()
        start = time.monotonic()
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0 or self.proof not in done.stdout:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
            sys.exit(f"{self.name}: status {done.returncode}, expected 0 and {self.proof!r} in what it says:\n{tail}")
        if record:
            self.seconds.append(seconds)
        print(f"  {seconds:7.3f} s  {self.name}", file=sys.stderr, flush=True)
        return seconds


def interleaved(subjects, rounds):
    """Runs each subject once a round, every round beginning with another one."""
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        first = number % len(subjects)
        for subject in subjects[first:] + subjects[:first]:
            subject.run()


def fast_subjects(lab, droplet):
    """The pairs (link, subject) of one exchange: OpenSSH's shortest command, and ours."""
    pairs = []
    for link in ("near", "far"):
        inventory = droplet.inventory(link)
        sepctl = [lab.sepctl, "--inventory", inventory]
        pairs += [
            (link, Subject(report.SHELL, lambda link=link: (droplet.ssh(link, "true"), lab.environment))),
            (link, Subject("sepctl plan", lambda c=sepctl: (c + ["plan"], lab.environment), "nothing to do")),
            (link, Subject("sepctl deploy --yes", lambda c=sepctl: (c + ["deploy", "--yes"], lab.environment),
                           "nothing to do")),
        ]
    return pairs


def rival_subjects(lab, ansible, pyinfra):
    pairs = []
    for link in ("near", "far"):
        shell = lambda link=link: (ansible.ssh(link, "true"), lab.environment)
        pairs.append((link, Subject(report.SHELL, shell)))
        for name, pipelining in (("Ansible, defaults", False), ("Ansible, pipelining on", True)):
            begin = lambda link=link, pipelining=pipelining: lab.ansible(ansible, link, pipelining)
            pairs.append((link, Subject(name, begin, "changed=0")))
        pairs.append((link, Subject("pyinfra", lambda link=link: lab.pyinfra(pyinfra, link))))
    return pairs


def noop(lab, rounds):
    droplet = lab.up(Droplet(lab, "benchs"))
    pairs = fast_subjects(lab, droplet)
    deploy = [lab.sepctl, "--inventory", droplet.inventory("near"), "deploy", "--yes"]
    Subject("sepctl, first deploy", lambda: (deploy, lab.environment)).run(record=False)
    # One link after the other: a droplet holds one desired state, and the address stands in it.
    for link in ("near", "far"):
        subjects = [subject for where, subject in pairs if where == link]
        for subject in subjects:
            subject.run(record=False)  # facts remembered, caches warm
        interleaved(subjects, rounds)
    return {"rounds": rounds, "rows": [[link, s.name, s.seconds] for link, s in pairs]}


def rivals(lab, rounds):
    ansible, pyinfra = lab.up(Droplet(lab, "bencha")), lab.up(Droplet(lab, "benchp"))
    pairs = rival_subjects(lab, ansible, pyinfra)
    # Ansible works through Python on the host, which a bare droplet does not have.
    lab.fetch(ansible, ["python3", "python3-apt", "python3-psycopg2", "ufw"])
    lab.fetch(pyinfra, ["ufw"])
    subprocess.run(ansible.ssh("near", "apt-get install -qq -y python3 python3-apt"), check=True, capture_output=True)
    # Brought about first, then once more: what remains is the no-op.
    Subject("Ansible, first run", lambda: lab.ansible(ansible, "near", True)).run(record=False)
    for _ in range(2):
        Subject("pyinfra, first runs", lambda: lab.pyinfra(pyinfra, "near")).run(record=False)
    interleaved([subject for _, subject in pairs], rounds)
    versions = [lab.version("ansible-core"), lab.version("pyinfra")]
    for droplet in (ansible, pyinfra):
        lab.down(droplet)
    return {"rounds": rounds, "versions": versions, "rows": [[link, s.name, s.seconds] for link, s in pairs]}


def first(lab, rounds):
    droplet = lab.up(Droplet(lab, "benchf"))
    with open("bench/rivals/bare_by_hand.sh", encoding="utf-8") as file:
        script = file.read()
    deploy = [lab.sepctl, "--inventory", droplet.inventory("near"), "deploy", "--yes"]
    subjects = [
        (Subject("packages, filesystem and cluster by hand", lambda: (droplet.ssh("near", "sh -s"), lab.environment)),
         script),
        (Subject("sepctl deploy --yes", lambda: (deploy, lab.environment), "deployed"), None),
    ]
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for subject, stdin in subjects if number % 2 == 0 else reversed(subjects):
            lab.forget_facts()
            lab.sandbox("reset", droplet.name)
            subject.run(stdin)
    lab.down(droplet)
    return {"rounds": rounds, "rows": [["near", s.name, s.seconds] for s, _ in subjects]}


def rest(lab):
    """The executor's memory after a minute without work, and the sizes of the programs."""
    droplet = lab.up(Droplet(lab, "benchs"))
    deploy = [lab.sepctl, "--inventory", droplet.inventory("near"), "deploy", "--yes"]
    Subject("sepctl deploy", lambda: (deploy, lab.environment)).run(record=False)
    script = (
        "pid=$(systemctl show --property=MainPID --value sep-executor.service); "
        "while [ $(ps -o etimes= -p $pid) -lt 60 ]; do sleep 1; done; "
        "awk '/^(VmRSS|RssAnon|Threads)/ {print $1, $2}' /proc/$pid/status"
    )
    status = subprocess.run(droplet.ssh("near", script), capture_output=True, text=True, check=True).stdout
    fields = dict(line.rstrip().split(": ") for line in status.splitlines())
    size = lambda name: os.path.getsize(os.path.join("target/release", name))
    return {
        "rss": int(fields["VmRSS"]) * 1024,
        "anonymous": int(fields["RssAnon"]) * 1024,
        "threads": int(fields["Threads"]),
        "executor_binary": size("sep-executor"),
        "sepctl_binary": size("sepctl"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=15, help="of the fast no-ops (%(default)s)")
    parser.add_argument("--slow-rounds", type=int, default=2, help="of the rivals (%(default)s)")
    parser.add_argument("--first-rounds", type=int, default=3, help="of bare droplets (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the droplets up")
    args = parser.parse_args()
    chosen = args.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    results = {"when": time.strftime("%Y-%m-%d", time.gmtime()), "one_way_ms": ONE_WAY_MS}
    with Lab(args.keep) as lab:
        if "noop" in chosen:
            results["noop"] = noop(lab, args.rounds)
        if "rivals" in chosen:
            results["rivals"] = rivals(lab, args.slow_rounds)
        if "first" in chosen:
            results["first"] = first(lab, args.first_rounds)
        if "rest" in chosen:
            results["rest"] = rest(lab)
    report.keep(results)
    report.write("docs/benchmarks.md")


if __name__ == "__main__":
    main()
