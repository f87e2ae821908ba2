"""Measures the signal engine beside other backtesters and writes its tables of docs/benchmarks.md; started by
bench/gpu.sh.

Programs run in rounds (A B C A B C ...), each as a whole process, on the same made-up candles. Each says itself how
long its work took without imports and files; the memory is the kernel's highest figure for the process.
"""
import argparse
import csv
import glob
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time

import gpu_card
import report

FOLDER = "target/bench-gpu"
STORE = f"{FOLDER}/candles"
FIGURES = "target/bench/gpu.json"
PAGE = "docs/benchmarks.md"
SECTIONS = ("sma", "events", "engine", "card")
PAIR, BARS, FEE = "EUR_USD", 100_000, "0.0001"
LENGTHS = ",".join(str(length) for length in range(5, 230, 5))
VARIANTS = 45 * 44 // 2
PYTHON, NAUTILUS = f"{FOLDER}/requirements/bin/python", f"{FOLDER}/nautilus/bin/python"
CARGO = shlex.split(os.environ.get("CARGO", "cargo"))
SEARCHED = 512


def make_candles():
    """The candles in a store, and their mid prices as NumPy arrays for the others."""
    subprocess.run(
        ["target/release/sep-gpu", "candles", "synth", PAIR, "--bars", str(BARS), "--seed", "1", "--store", STORE],
        check=True, stdout=sys.stderr)
    # By a process of its own: NumPy's memory in this one would count as that of the programs started here.
    subprocess.run([PYTHON, "bench/gpu_candles.py", f"{STORE}/{PAIR}/M1", FOLDER, str(BARS)], check=True)


class Program:
    """One program that is timed; the first word that it says is the seconds of its work."""

    def __init__(self, name, command):
        self.name, self.command = name, command
        self.work, self.whole, self.memory, self.busy, self.said = [], [], [], [], ""

    def run(self, record=True):
        start = time.monotonic()
        with open(f"{FOLDER}/said.txt", "w+", encoding="utf-8") as out, \
                open(f"{FOLDER}/complaints.txt", "w+", encoding="utf-8") as complaints:
            process = subprocess.Popen(self.command, stdout=out, stderr=complaints)
            _, status, usage = os.wait4(process.pid, 0)
            whole = time.monotonic() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            complaints.seek(0)
            self.said = out.read().strip()
            if process.returncode != 0:
                tail = "\n".join(complaints.read().splitlines()[-25:])
                sys.exit(f"{self.name}: status {process.returncode}:\n{tail}")
        work = float(self.said.split()[0])
        if record:
            self.work.append(work)
            self.whole.append(whole)
            self.memory.append(usage.ru_maxrss * 1024)
            self.busy.append((usage.ru_utime + usage.ru_stime) / whole)
        print(f"  {work:9.4f} s of {whole:7.2f} s, {usage.ru_maxrss / 1024:6.0f} MB  {self.name}", file=sys.stderr)

    def figures(self):
        return {"name": self.name, "work": self.work, "whole": self.whole, "memory": self.memory, "busy": self.busy,
                "said": self.said}


def interleaved(programs, rounds):
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        first = number % len(programs)
        for program in programs[first:] + programs[:first]:
            program.run()


def sma(rounds):
    ours, theirs = f"{FOLDER}/ours.csv", f"{FOLDER}/vectorbt.csv"
    programs = [
        Program("vectorbt", [PYTHON, "bench/gpu_rivals/vectorbt_sma.py", f"{FOLDER}/closes.npy", FEE, LENGTHS, theirs]),
        Program("sep-gpu", ["target/release/examples/sma_grid", STORE, PAIR, FEE, LENGTHS, ours]),
    ]
    for program in programs:
        program.run(record=False)  # compiled code and files in the caches
    interleaved(programs, rounds)
    return {"rounds": rounds, "rows": [program.figures() for program in programs], "agreement": agreement(ours, theirs)}


def agreement(ours, theirs):
    """Both programs' results, variant by variant. Speeds of different work are not compared."""
    def read(path):
        with open(path, encoding="utf-8", newline="") as file:
            return {(row["fast"], row["slow"]): (int(row["entries"]), float(row["net"])) for row in csv.DictReader(file)}
    ours, theirs = read(ours), read(theirs)
    if len(ours) != VARIANTS or ours.keys() != theirs.keys():
        sys.exit(f"the programs gave {len(ours)} and {len(theirs)} variants, expected the same {VARIANTS}")
    same = sum(ours[key][0] == theirs[key][0] for key in ours)
    apart = max(abs(ours[key][1] - theirs[key][1]) for key in ours)
    if same != VARIANTS or apart > 1e-6:
        sys.exit(f"{VARIANTS - same} of {VARIANTS} variants differ in trades, returns by up to {apart}: no comparison")
    return {"trades": sum(entries for entries, _ in ours.values()), "apart": apart}


def events(rounds):
    programs = [
        Program("backtesting.py", [PYTHON, "bench/gpu_rivals/backtesting_sma.py", f"{FOLDER}/bars.npz", "10", "30"]),
        Program("NautilusTrader", [NAUTILUS, "bench/gpu_rivals/nautilus_sma.py", f"{FOLDER}/bars.npz", "10", "30"]),
        Program("sep-gpu, one", ["env", "RAYON_NUM_THREADS=1", "target/release/examples/qfh_run", STORE, PAIR, "1"]),
        Program("sep-gpu, many", ["target/release/examples/qfh_run", STORE, PAIR, str(SEARCHED)]),
    ]
    interleaved(programs, rounds)
    return {"rounds": rounds, "rows": [program.figures() for program in programs]}


def engine():
    """The inner loops by Criterion: medians, in elements a second or seconds."""
    subprocess.run(CARGO + ["bench", "--locked", "--package", "sep-gpu", "--bench", "engine"], check=True, stdout=sys.stderr)
    figures = {}
    for path in glob.glob("target/criterion/*/*/new"):
        with open(f"{path}/estimates.json", encoding="utf-8") as file:
            median = json.load(file)["median"]["point_estimate"] * 1e-9
        with open(f"{path}/benchmark.json", encoding="utf-8") as file:
            about = json.load(file)
        elements = (about["throughput"] or {}).get("Elements")
        figures[f"{about['group_id']}/{about['function_id']}"] = elements / median if elements else median
    return figures


def speed(value):
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def heading(found):
    """When and where these very figures were measured."""
    return f"Measured on {found['when']}: {found['machine']}; load of other work at the start {found['load']:.1f}"


def sma_table(kept):
    found = kept["sma"]
    rows = {row["name"]: row for row in found["rows"]}
    theirs, ours = rows["vectorbt"], rows["sep-gpu"]
    work = VARIANTS * BARS
    lines = [
        f"{heading(found)}; {found['rounds']} rounds, medians ({found['versions']}).\n",
        "| | of vectorbt's speed | bar-variants/s | whole process | cores it kept busy | highest memory |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row, title in ((theirs, "vectorbt"), (ours, "sep-gpu")):
        ratio = statistics.median(theirs["work"]) / statistics.median(row["work"])
        lines.append(
            f"| {title} | **{ratio:,.0f}** | {speed(work / statistics.median(row['work']))} "
            f"({speed(work / max(row['work']))}-{speed(work / min(row['work']))}) | "
            f"{report.seconds(row['whole'])} | {statistics.median(row['busy']):.1f} | {max(row['memory']) / 1e6:,.0f} MB |")
    same = found["agreement"]
    lines.append(
        f"\nAll {VARIANTS} variants make the same number of trades in both ({same['trades']:,} together), and their "
        f"total returns differ by at most {same['apart']:.0e}.")
    return "\n".join(lines) + "\n"


def events_table(kept):
    found = kept["events"]
    titles = {
        "backtesting.py": ("backtesting.py, dual moving average", 1),
        "NautilusTrader": ("NautilusTrader, dual moving average", 1),
        "sep-gpu, one": ("sep-gpu, one QFH variant by the definition, on one thread", 1),
        "sep-gpu, many": (f"sep-gpu, QFH in a search of {SEARCHED} variants, on all cores", SEARCHED),
    }
    lines = [
        f"{heading(found)}; {found['rounds']} rounds, medians ({found['versions']}).\n",
        "| | bars a second of one variant, or bar-variants | trades |",
        "|---|--:|--:|",
    ]
    for row in found["rows"]:
        title, variants = titles[row["name"]]
        lines.append(f"| {title} | {speed(variants * BARS / statistics.median(row['work']))} | "
                     f"{int(row['said'].split()[1]):,} |")
    return "\n".join(lines) + "\n"


def engine_table(kept):
    figures = kept["engine"]["figures"]
    rows = [
        ("dual moving average, 990 variants", "sma/grid", "bar-variants/s", 4e9),
        ("full QFH variants: scores, filters, stop, target, costs; published", "variants/published", "bar-variants/s", 5e8),
        ("the same, symmetric", "variants/symmetric", "bar-variants/s", 5e8),
        ("QFH windows: transitions of every length 2 to 64, against a threshold", "windows/census", "windows/s", 3e10),
        ("all features, window of 11 bits", "features/window-11", "bars/s", None),
        ("all features, window of 32 bits", "features/window-32", "bars/s", None),
    ]
    lines = [f"{heading(kept['engine'])}; medians by Criterion.\n", "| | measured | goal | |", "|---|--:|--:|---|"]
    for title, name, unit, goal in rows:
        verdict = "" if goal is None else "met" if figures[name] >= goal else "missed"
        lines.append(f"| {title} | {speed(figures[name])} {unit} | {speed(goal) if goal else ''} | {verdict} |")
    for title, name in (("decisions for 18 pairs from their newest candles", "signals/18-pairs"),
                        ("the same from the store to signals on the disk, a look of --watch", "signals/18-pairs-look")):
        verdict = "met" if figures[name] <= 0.005 else "missed"
        lines.append(f"| {title} | {figures[name] * 1e3:.2f} ms | 5 ms | {verdict} |")
    return "\n".join(lines) + "\n"


def card_table(kept):
    found = kept["card"]
    if "device" in found:
        about = f"{heading(found)}; {found['device']}"
    else:
        about = f"Looked for a card on {found['when']}: {found['machine']}"
    lines = [f"{about}.\n", "| | measured | goal | |", "|---|--:|--:|---|", *gpu_card.rows(found)]
    return "\n".join(lines) + "\n"


def write(kept):
    """Replaces the tables of the sections that have been measured; the words around them stay."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    for section, table in (("sma", sma_table), ("events", events_table), ("engine", engine_table), ("card", card_table)):
        if section in kept:
            pattern = rf"(<!-- gpu-{section}:begin -->\n).*?(<!-- gpu-{section}:end -->)"
            body = table(kept)
            text, count = re.subn(pattern, lambda found: found[1] + body + found[2], text, flags=re.DOTALL)
            if count != 1:
                sys.exit(f"{PAGE}: found {count} pairs of markers `gpu-{section}:begin` and `:end`, expected 1")
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{PAGE} is written; the single figures are in {FIGURES}", file=sys.stderr)


def versions():
    """The others' names and versions, as they are pinned."""
    pinned = []
    for name in ("requirements", "nautilus"):
        with open(f"bench/gpu_rivals/{name}.txt", encoding="utf-8") as file:
            pinned += [line.strip().replace("==", " ") for line in file if not line.startswith("pyarrow")]
    return ", ".join(pinned)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="of the programs (%(default)s)")
    args = parser.parse_args()
    chosen = args.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    kept = {}
    if os.path.exists(FIGURES):
        with open(FIGURES, encoding="utf-8") as file:
            # What does not say where it was measured cannot be shown.
            kept = {section: found for section, found in json.load(file).items() if "machine" in found}
    make_candles()
    for section, measure in (("sma", lambda: sma(args.rounds)), ("events", lambda: events(args.rounds)),
                             ("engine", lambda: {"figures": engine()}), ("card", lambda: gpu_card.measure(FOLDER))):
        if section in chosen:
            # Figures keep what they were measured on and with: other sections may be from another day or machine.
            about = {"when": time.strftime("%Y-%m-%d", time.gmtime()), "load": os.getloadavg()[0],
                     "machine": report.machine(), "versions": versions()}
            kept[section] = dict(measure(), **about)
            os.makedirs(os.path.dirname(FIGURES), exist_ok=True)
            with open(FIGURES, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
    write(kept)


if __name__ == "__main__":
    main()
