#!/usr/bin/env python3
"""Compiles the CUDA kernels to PTX, on a machine with or without a GPU.

  scripts/kernels.py build   write gpu/kernels/ptx/
  scripts/kernels.py check   compile again, compare byte for byte with what is there, and assemble it for real
                             cards: registers are reported, a spill is an error
  scripts/kernels.py report  how many instructions of which kind the loop over bars has on those cards

Exit codes: 0 ok, 1 failed or different, 3 the compilers cannot be fetched from PyPI.
"""

import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "scripts/kernels-requirements.txt"
TOOLS = ROOT / "target/kernels-tools"
SOURCE = ROOT / "gpu/kernels/sweep.cu"
PTX = ROOT / "gpu/kernels/ptx"
# The cards that each PTX is assembled for in the check: Turing, Ampere, Ada; Hopper, Blackwell.
ARCHITECTURES = {"compute_75": ["sm_75", "sm_80", "sm_86", "sm_89"], "compute_90": ["sm_90", "sm_100"]}
# Instructions of a card by what they do; all others are integers, comparisons, selections and logic.
KINDS = {
    "multiplications and float additions": {"FADD", "FMUL", "FFMA", "HFMA2", "IMAD"},
    "loads": {"LDS", "LDC", "LDCU"},
    "control": {"BRA", "BSSY", "BSYNC", "BREAK", "EXIT", "NOP", "WARPSYNC"},
}
# No fused multiply-add and no approximations: each operation rounds as IEEE says, as on the CPU.
OPTIONS = ["--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--std=c++17"]


def fetch():
    """The compilers below target/, fetched once for each state of the requirements."""
    wanted = REQUIREMENTS.read_text()
    mark = TOOLS / "requirements.txt"
    if mark.exists() and mark.read_text() == wanted:
        return
    TOOLS.parent.mkdir(exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix="kernels-tools.", dir=TOOLS.parent))
    try:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
            subprocess.run([sys.executable, "-m", "venv", fresh / "venv"], check=True, capture_output=True)
            pip[0] = str(fresh / "venv/bin/python")
        arguments = ["install", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", REQUIREMENTS]
        run = subprocess.run([*pip, *arguments, "--target", fresh], capture_output=True, text=True)
        if run.returncode != 0:
            raise OSError((run.stderr.strip() or "pip says nothing").splitlines()[-1])
        (fresh / "requirements.txt").write_text(wanted)
        shutil.rmtree(TOOLS, ignore_errors=True)
        fresh.rename(TOOLS)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"kernels: the compilers cannot be fetched from PyPI: {error}", file=sys.stderr)
        sys.exit(3)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


class Nvrtc:
    """NVIDIA's run-time compiler, as a library."""

    def __init__(self):
        folder = TOOLS / "nvidia/cuda_nvrtc/lib"
        # It looks for its built-in headers by name only, so they are loaded first.
        for name in sorted(folder.glob("libnvrtc-builtins.so*")):
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(next(folder.glob("libnvrtc.so*")))

    def text(self, what, program):
        """A text that the library holds for a program: its PTX or its log."""
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, buffer)
        return buffer.value.decode()

    def compile(self, architecture):
        """The kernels' PTX for a virtual architecture."""
        program = ctypes.c_void_p()
        source, name = SOURCE.read_bytes(), SOURCE.name.encode()
        code = self.library.nvrtcCreateProgram(ctypes.byref(program), source, name, 0, None, None)
        if code != 0:
            sys.exit(f"kernels: NVRTC refused the program, code {code}")
        options = [option.encode() for option in [f"--gpu-architecture={architecture}", *OPTIONS]]
        array = (ctypes.c_char_p * len(options))(*options)
        code = self.library.nvrtcCompileProgram(program, len(options), array)
        log = self.text("ProgramLog", program).strip()
        if code != 0 or log:
            sys.exit(f"kernels: {SOURCE.relative_to(ROOT)} for {architecture}, code {code}:\n{log}")
        ptx = self.text("PTX", program)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return ptx


def assemble(ptx, architecture):
    """Assembles a PTX file for a card; reports its registers, fails where a thread's variables spill."""
    ptxas = TOOLS / "nvidia/cuda_nvcc/bin/ptxas"
    ptxas.chmod(0o755)
    cubin = TOOLS / f"{ptx.stem}.{architecture}.cubin"
    command = [ptxas, "-v", f"-arch={architecture}", ptx, "-o", cubin]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"kernels: ptxas refused {ptx.name} for {architecture}:\n{run.stderr}{run.stdout}")
    report = run.stderr + run.stdout
    kernels = re.findall(r"Compiling entry function '(\w+)'", report)
    uses = re.findall(r"Used (\d+) registers", report)
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    shared = re.findall(r"(\d+) bytes smem", report)
    if not kernels or not len(kernels) == len(uses) == len(spills):
        sys.exit(f"kernels: cannot read what ptxas says:\n{report}")
    for at, kernel in enumerate(kernels):
        smem = shared[at] if at < len(shared) else "0"
        print(f"{ptx.name} {architecture} {kernel}: {uses[at]} registers, {smem} bytes shared")
        if any(int(count) for count in spills[at]):
            sys.exit(f"kernels: {kernel} spills on {architecture}")
    return cubin


def loop_over_bars(text):
    """The names of the instructions of the longest loop that neither waits at a barrier nor reads the card's memory."""
    places, names, loops = {}, [], []
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            places[label[1]] = len(names)
        elif found := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)([^;]*);", line):
            names.append(found[1])
            target = re.search(r"\((\.L_x_\d+)\)", found[2]) if found[1] == "BRA" else None
            if target and target[1] in places:
                loops.append(names[places[target[1]]:])
    plain = [loop for loop in loops if not {"BAR", "LDG"} & set(loop)]
    return max(plain, key=len, default=[])


def report(cubin):
    """Counts the loop over bars of an assembled kernel. Which of it a warp issues for a bar, the count does not say."""
    nvdisasm = next(TOOLS.glob("nvidia/*/bin/nvdisasm"))
    nvdisasm.chmod(0o755)
    run = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, text=True)
    loop = loop_over_bars(run.stdout)
    if run.returncode != 0 or not loop:
        sys.exit(f"kernels: cannot find the loop over bars in {cubin.name}:\n{run.stderr}")
    counts = {kind: sum(name in names for name in loop) for kind, names in KINDS.items()}
    rest = len(loop) - sum(counts.values())
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{cubin.name}: {len(loop)} instructions: {rest} integers, comparisons and logic, {shown}")


def main():
    if sys.argv[1:] not in (["build"], ["check"], ["report"]):
        sys.exit(__doc__)
    fetch()
    nvrtc = Nvrtc()
    for virtual, cards in ARCHITECTURES.items():
        path = PTX / f"{SOURCE.stem}.{virtual}.ptx"
        text = nvrtc.compile(virtual)
        if sys.argv[1] == "build":
            PTX.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"kernels: {path.relative_to(ROOT)} is not what {SOURCE.name} compiles to; run `make kernels`")
        for card in cards:
            cubin = assemble(path, card)
            if sys.argv[1] == "report":
                report(cubin)


main()
