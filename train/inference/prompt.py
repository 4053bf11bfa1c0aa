"""A prompt: a line of text in, the line with its entities marked out, until the input ends (Ctrl-D)."""

import contextlib
import os
import sys
import unicodedata

from bert.system import signals

try:
    import termios
except ImportError:  # Windows, where there is nothing to restore
    termios = None

# Background colours, of the terminal's 256, on which black text is easy to read. Colour-blind readers can tell them
# apart too, and the type is written beside the entity anyway.
_BACKGROUNDS = (117, 220, 79, 215, 218, 153, 227, 252)
_RESET = "\x1b[0m"


def run(predictor):
    """Reads standard input, writes standard output.

    Args:
      predictor: predictor.Predictor.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    colours = wants_colours(sys.stdout, os.environ)
    types = list(predictor.types)
    if terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  input() has a history and keys to edit with then

        print("A text and Enter shows its entities; Ctrl-D ends.")
    with _terminal_as_it_was() if terminal else contextlib.nullcontext():
        while True:
            try:
                line = _read_line("> " if terminal else "")
            except EOFError:
                break
            except UnicodeDecodeError as error:
                sys.stderr.write(f"byte 0x{error.object[error.start]:02x} is not UTF-8; expected a text in UTF-8\n")
                continue
            if line.strip():
                _write_line(marked(line, predictor(line), types, colours))


def _terminal_as_it_was():
    """Restores the terminal, which readline changed, and ends the prompt's line, at the end or at a signal."""
    before = termios and termios.tcgetattr(sys.stdin)

    def clean_up():
        if before:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(flush=True)

    return signals.cleanup_on_exit(clean_up)


def _read_line(prompt):
    if prompt:
        return input(prompt)
    raw = sys.stdin.buffer.readline()
    if not raw:
        raise EOFError
    if raw.endswith(b"\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return raw.decode("utf-8")


def _write_line(line):
    sys.stdout.buffer.write(line.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


def wants_colours(stream, environment):
    """Whether to write colours: to a terminal that has them, unless NO_COLOR says no (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb"


def marked(text, entities, types=(), colours=False):
    """A text with its entities in it: `[Ann Lee PER 0.98] lives in [Paris LOC 0.97]`, or in colour without brackets.

    Args:
      text: str.
      entities: list of entities.Entity of this text.
      types: list of types; a type's place in it chooses its colour.
      colours: whether to use ANSI colours.
    """
    pieces, position = [], 0
    for entity in entities:
        pieces.append(_printable(text[position : entity.start]))
        inside = _printable(text[entity.start : entity.end])
        label = " ".join(filter(None, [_printable(entity.type), f"{float(entity.score):.2f}"]))
        if colours:
            place = types.index(entity.type) if entity.type in types else len(types)
            background = _BACKGROUNDS[place % len(_BACKGROUNDS)]
            pieces.append(f"\x1b[48;5;{background};38;5;16m {inside} \x1b[1m{label} {_RESET}")
        else:
            pieces.append(f"[{inside} {label}]")
        position = entity.end
    pieces.append(_printable(text[position:]))
    return "".join(pieces)


def _printable(text):
    """Without control characters, which could do anything to a terminal."""
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cs") and char != "\t" else char for char in text)
