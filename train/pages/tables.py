"""HTML tables, and how numbers are written in them."""

# A table that is wider than the window scrolls. Shadows at the edges show that there is more behind them: the covers
# scroll with the table, the shadows stay.
CSS = """
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0;
--cover:linear-gradient(var(--page),var(--page));
--left:linear-gradient(to right,var(--shade),transparent);
--right:linear-gradient(to left,var(--shade),transparent);
background:var(--cover) left/2rem 100% no-repeat local,var(--cover) right/2rem 100% no-repeat local,
var(--left) left/.9rem 100% no-repeat scroll,var(--right) right/.9rem 100% no-repeat scroll}
"""


def table(caption, columns, rows, foot=(), limited=False, css="", groups=()):
    """A table with a header row; where it is wider than the window, it scrolls by itself.

    Args:
      caption: str, HTML.
      columns: list of HTML, the contents of the header row.
      rows, foot: lists of HTML, `<tr>` elements of the table's body and of its foot.
      limited: whether a long table also scrolls vertically.
      css: class of the table.
      groups: list of (name, number of columns) for a row above the headers; a group without a name has no header.

    Returns:
      HTML.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    if groups:
        above = (
            f'<th scope="colgroup" colspan="{width}">{name}</th>' if name else f'<td colspan="{width}"></td>'
            for name, width in groups
        )
        head = f"{''.join(above)}</tr><tr>{head}"
    foot = f"<tfoot>{''.join(foot)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll{" limited" if limited else ""}" tabindex="0" role="group" aria-label="{caption}">'
        f'<table class="{css}"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>{foot}</table></div>"
    )


def row(header, cells):
    """A table row: `header` and `cells`, a list, are HTML."""
    return f'<tr><th scope="row">{header}</th>{data_cells(cells)}</tr>'


def data_cells(values):
    """One `<td>` for each value, HTML."""
    return "".join(f"<td>{value}</td>" for value in values)


def probability(value):
    """Four decimals; what is less than 1 is never written as 1.

    >>> [probability(value) for value in (0.5, 0.99999, 1.0)]
    ['0.5000', '&gt; 0.9999', '1.0000']
    """
    return "&gt; 0.9999" if 0.99995 <= value < 1.0 else f"{value:.4f}"
