"""Keeps the figures of a run and writes them as tables between the markers of docs/benchmarks.md."""
import json
import os
import platform
import re
import statistics

FIGURES = "target/bench/deploy.json"
SHELL = "ssh HOST true"


def keep(results):
    """Adds what was measured to what earlier runs of other sections have left; the day belongs to the section."""
    kept = load()
    for section in ("noop", "rivals", "first", "rest"):
        if section in results:
            kept[section] = dict(results[section], when=results["when"])
    with open(FIGURES, "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)


def load():
    if not os.path.exists(FIGURES):
        return {}
    with open(FIGURES, encoding="utf-8") as file:
        return json.load(file)


def write(path):
    """Replaces the tables of the sections that have been measured; the words around them stay."""
    kept = load()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for section, table in (("noop", noop), ("first", first), ("rest", rest)):
        if section in kept and (section != "noop" or "rivals" in kept):
            pattern = rf"(<!-- {section}:begin -->\n).*?(<!-- {section}:end -->)"
            body = table(kept)
            text, count = re.subn(pattern, lambda found: found[1] + body + found[2], text, flags=re.DOTALL)
            if count != 1:
                raise SystemExit(f"{path}: found {count} pairs of markers `{section}:begin` and `:end`, expected 1")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{path} is written; the single figures are in {FIGURES}")


def machine():
    """In general words."""
    with open("/etc/os-release", encoding="utf-8") as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.MULTILINE)[1]
    return f"{os.cpu_count()} cores, {system}, Linux {platform.release().split('-')[0]}"


def seconds(values):
    """Median, with the range where it says something."""
    middle = statistics.median(values)
    digits = 3 if middle < 2 else 1
    return f"{middle:.{digits}f} s ({min(values):.{digits}f}-{max(values):.{digits}f})"


def noop(kept):
    links, ratios = {"near": {}, "far": {}}, {"near": {}, "far": {}}
    for section in ("noop", "rivals"):
        rows = {(link, name): values for link, name, values in kept[section]["rows"]}
        for (link, name), values in rows.items():
            # Each tool is held against the yardstick of its own rounds: the machine was as busy for both.
            ratios[link].setdefault(name, statistics.median(values) / statistics.median(rows[link, SHELL]))
            links[link].setdefault(name, values)
    lines = [
        f"Measured on {kept['noop']['when']}: {machine()}; {kept['noop']['rounds']} rounds of the first three, "
        f"{kept['rivals']['rounds']} of the others ({', '.join(kept['rivals']['versions'])}). "
        "Median, and in brackets the fastest and the slowest run.\n",
        "| | of `ssh HOST true`, 0 ms | of `ssh HOST true`, 100 ms | 0 ms | 100 ms round trip |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in links["near"]:
        near, far = links["near"][name], links["far"][name]
        shown = " | ".join(f"**{ratio:.2f}**" if ratio < 10 else f"{ratio:.0f}" for ratio in
                           (ratios["near"][name], ratios["far"][name]))
        title = f"`{name}`" if name.startswith(("ssh", "sepctl")) else name
        lines.append(f"| {title} | {shown} | {seconds(near)} | {seconds(far)} |")
    return "\n".join(lines) + "\n"


def first(kept):
    rows = {name: values for _, name, values in kept["first"]["rows"]}
    by_hand = statistics.median(next(values for name, values in rows.items() if "by hand" in name))
    lines = [
        f"Measured on {kept['first']['when']}: {machine()}; {kept['first']['rounds']} rounds, 0 ms link.\n",
        "| | of the work by hand | time |",
        "|---|--:|--:|",
    ]
    for name, values in rows.items():
        title = f"`{name}`" if name.startswith("sepctl") else name
        lines.append(f"| {title} | **{statistics.median(values) / by_hand:.2f}** | {seconds(values)} |")
    return "\n".join(lines) + "\n"


def rest(kept):
    found = kept["rest"]
    mb = lambda size: f"{size / 1e6:.1f} MB"
    return "\n".join([
        f"Measured on {found['when']}: {machine()}.\n",
        "| | |",
        "|---|--:|",
        f"| `sep-executor` at rest, resident (VmRSS) | {mb(found['rss'])} |",
        f"| of it its own (RssAnon) | {mb(found['anonymous'])} |",
        f"| its threads | {found['threads']} |",
        f"| `sep-executor`, the file | {mb(found['executor_binary'])} |",
        f"| `sepctl`, the file | {mb(found['sepctl_binary'])} |",
    ]) + "\n"
