"""Say which digit is spoken while it is spoken: WAV to frames to a compiled program, step by step.

Usage: python examples/speech/live.py PROGRAM.h5 RECORDING.wav...

Sound arrives in blocks of 20 ms, as from a microphone; each frame that a block completes is one
step of the session. Prints the digit after each tenth of a second, and how often the last one is
that of the name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from front_end import RATE, FrontEnd
from make_data import read_wav

import neurossm

BLOCK = RATE // 50


def main() -> None:
    """Stream each recording through a session of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--quiet", action="store_true", help="only the last line")
    options = parser.parse_args()
    program = neurossm.Program.load(options.program)
    right = 0
    for path in options.recordings:
        sound, front_end, session = read_wav(path), FrontEnd(), program.session()
        heard = []
        for start in range(0, len(sound), BLOCK):
            for frame in front_end.push(sound[start : start + BLOCK]):
                digit = int(session.step(frame).argmax())
                if session.steps % 10 == 0:
                    heard.append(str(digit))
        right += digit == int(path.name.split("_")[0])
        if not options.quiet:
            print(f"{path.name}: {' '.join(heard)} -> {digit}")
    count = len(options.recordings)
    print(f"{right} of {count} recordings right, {100 * right / count:.2f} %")


if __name__ == "__main__":
    main()
