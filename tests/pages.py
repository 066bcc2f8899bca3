"""Texts that would mean something, if pages let them."""

from hypothesis import strategies as st

HOSTILE = [
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](y.png)", "a|b", "\\|", "\\", "`", "``a`", "**b**",
    "_b_", "a_b", "__b__", "~~b~~", "# h", "- b", "+ b", "1. b", "12) b", "===", "---", "> q", "<https://x.y>", "&lt;",
    "&#60;", "&", "$x$", "| a | b |\n|---|---|", "```\nx", "~~~", "a\n\n# b", "    code", "\x1b[31mred", "a\x00b",
    "\u202eevil", "\ud800", "a  ", "<!-- x", "[a]: http://x", "-", "1.", "a*", ":-:", "\t- x",
    "'\"><img src=x onerror=y>",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.lists(st.sampled_from(HOSTILE)).map("".join))
