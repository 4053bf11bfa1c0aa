"""The flags that say how data files are read, for all programs that read some. Loads no TensorFlow."""

from train.data.columns import SEPARATORS, columns_flag, format_of_flags
from train.data.recognition import NONE, scheme_flag
from train.data.schemes import SCHEMES

READING_FLAGS = ("columns", "comment", "separator")


def add_reading_flags(flag, with_tags=True, when=""):
    """Adds -columns, -comment and -separator, and -tag_scheme where files have tags.

    Args:
      flag: function that adds a flag, as FlagParser.flag_group gives it.
      with_tags: whether words have tags.
      when: what the help says first, such as "with -input conll: ".
    """
    columns = "the column of the words, counted from 1, as word=2; default: the first"
    if with_tags:
        columns = "columns of a data file, counted from 1, as word=2,tag=3 or tag=last; "
        columns += "default: word first, tag last, and the same number in each line"
    flag("columns", type=columns_flag, help=when + columns)
    flag("comment", help=f"{when}what comment lines begin with, as '# '; default: there are none")
    flag("separator", choices=SEPARATORS, help=f"{when}what separates columns: tab, or space for spaces and tabs; "
         "default: by what is in the file")  # fmt: skip
    if with_tags:
        flag("tag_scheme", type=scheme_flag, metavar="SCHEME", help=f"how tags write entities: {', '.join(SCHEMES)}; "
             f"or {NONE}: as the tags stand, decoded without rules; default: by what is in train.txt")  # fmt: skip


def given_format(args):
    """The columns.Format that the flags of `add_reading_flags` ask for."""
    return format_of_flags(args.columns, args.comment, args.separator)
