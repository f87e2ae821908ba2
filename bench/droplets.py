"""The droplets that are measured, the links to them, and the command lines of the tools that work on them."""
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile

# 100 ms of round trip on the far link.
ONE_WAY_MS = 50
# A link's near end is a loopback address on SSH's own port: the port stands in what is deployed, so it must not
# differ between the links.
FAR_ADDRESS = "127.77.0.{}"


class Lab:
    """Owns droplets, relays and a folder for caches and inventories; takes all of them down at its end."""

    def __init__(self, keep):
        self.keep = keep
        self.sepctl = os.path.abspath("target/release/sepctl")
        self.relay = os.path.abspath("target/release/examples/latency_relay")
        self.droplets, self.relays = {}, []

    def __enter__(self):
        os.makedirs("target/bench", exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="deploy-", dir=os.path.abspath("target/bench"))
        self.rivals = shutil.copytree("bench/rivals", os.path.join(self.folder, "rivals"))
        with open(os.path.join(self.rivals, "files", "executor"), "wb") as file:
            file.write(os.urandom(5_000_000))
        # Nothing of the user's own settings takes part, and nothing of theirs is touched.
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "XDG_CACHE_HOME": os.path.join(self.folder, "cache"),
            "LC_ALL": "C.UTF-8",
        }
        return self

    def __exit__(self, *_):
        for relay in self.relays:
            relay.terminate()
            relay.wait()
        for droplet in list(self.droplets.values()):
            if not self.keep:
                self.down(droplet)
        shutil.rmtree(self.folder)

    def sandbox(self, verb, name):
        command = [self.sepctl, "sandbox", verb, name, "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["droplets"]

    def up(self, droplet):
        """Boots it, once, and opens its far link."""
        if droplet.name in self.droplets:
            return self.droplets[droplet.name]
        self.droplets[droplet.name] = droplet
        (found,) = [d for d in self.sandbox("up", droplet.name) if d["name"] == droplet.name]
        far = FAR_ADDRESS.format(len(self.relays) + 1)
        droplet.settle(found, far)
        command = [self.relay, f"{found['address']}:22", str(ONE_WAY_MS), f"{far}:22"]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.relays.append(relay)
        if relay.stdout.readline().strip() != f"{far}:22":
            raise SystemExit(f"the relay could not listen on {far}:22; an SSH server on all addresses may hold the port")
        return droplet

    def down(self, droplet):
        self.sandbox("down", droplet.name)
        self.droplets.pop(droplet.name, None)

    def fetch(self, droplet, packages):
        """Puts packages that the sandbox's image lacks into the droplet's cache, over this machine's network."""
        with open("/etc/resolv.conf", encoding="utf-8") as file:
            resolver = file.read()
        script = (
            "cat > /etc/resolv.conf && apt-get -qq -y --download-only install "
            + " ".join(packages)
            + "; status=$?; rm /etc/resolv.conf; exit $status"
        )
        command = ["nsenter", "--target", str(droplet.pid), "--mount", "sh", "-c", script]
        subprocess.run(command, input=resolver, text=True, check=True, capture_output=True)

    def forget_facts(self):
        shutil.rmtree(self.environment["XDG_CACHE_HOME"], ignore_errors=True)

    def ansible(self, droplet, link, pipelining):
        """Command line and environment of one run; its SSH connection is made anew and shared by its steps."""
        environment = dict(
            self.environment,
            ANSIBLE_PIPELINING=str(pipelining),
            ANSIBLE_HOME=os.path.join(self.folder, "ansible"),
            # A socket of its own for each run: the connection that the last run left open must not help this one.
            ANSIBLE_SSH_CONTROL_PATH_DIR=tempfile.mkdtemp(dir="/tmp", prefix="bench-"),
        )
        python = os.path.abspath("target/bench-venv/bin/ansible-playbook")
        inventory = os.path.join(self.folder, f"ansible-{link}.ini")
        with open(inventory, "w", encoding="utf-8") as file:
            file.write(
                f"droplet ansible_host={droplet.address[link]} ansible_user=root "
                f"ansible_ssh_private_key_file={droplet.identity} ansible_python_interpreter=/usr/bin/python3 "
                f"ansible_ssh_common_args='-F none -o UserKnownHostsFile={droplet.known_hosts}'\n"
            )
        return [python, "-i", inventory, os.path.join(self.rivals, "ansible_site.yml")], environment

    def pyinfra(self, droplet, link):
        inventory = os.path.join(self.rivals, f"inventory_{link}.py")
        data = {"ssh_user": "root", "ssh_key": droplet.identity, "ssh_known_hosts_file": droplet.known_hosts}
        with open(inventory, "w", encoding="utf-8") as file:
            file.write(f"hosts = [({droplet.address[link]!r}, {data!r})]\n")
        pyinfra = os.path.abspath("target/bench-venv/bin/pyinfra")
        command = f"cd {self.rivals} && exec {pyinfra} -y inventory_{link}.py pyinfra_deploy.py"
        return ["sh", "-c", command], self.environment

    @staticmethod
    def version(package):
        return f"{package} {importlib.metadata.version(package)}"


class Droplet:
    """One sandbox droplet and the two links to it: `near` (straight) and `far` (through a relay)."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name

    def settle(self, found, far):
        self.address = {"near": found["address"], "far": far}
        self.identity, self.pid = found["identity"], found["pid"]
        self.known_hosts = os.path.join(self.lab.folder, f"{self.name}.known_hosts")
        with open(found["known_hosts"], encoding="utf-8") as file:
            key = file.readline().split(" ", 1)[1]
        with open(self.known_hosts, "w", encoding="utf-8") as file:
            file.writelines(f"{address} {key}" for address in self.address.values())

    def inventory(self, link):
        """The droplet of the project's own inventory, with room for many connections a minute."""
        path = os.path.join(self.lab.folder, f"{self.name}-{link}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                f"hosts:\n  {self.name}:\n    ssh:\n      address: {self.address[link]}\n"
                f"      identity: {self.identity}\n      known_hosts: {self.known_hosts}\n"
                "    hardware: {memory: 8GiB, cores: 2}\n"
                "    volume: {device: /dev/disk/by-id/scsi-0DO_Volume_sep-data, size: 50GB}\n"
                "    firewall: {open: [22, 80, 443], ssh_rate: 10000}\n"
            )
        return path

    def ssh(self, link, command):
        options = ["-F", "none", "-i", self.identity, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        options += ["-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "LogLevel=ERROR"]
        return ["ssh", *options, f"root@{self.address[link]}", command]
