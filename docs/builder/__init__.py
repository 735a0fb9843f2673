"""Builder: assemble the source folder of the documentation site.

`assemble` copies the hand-written pages and generates the others; Sphinx then builds the result (`make docs`).
`pages` copies pages and rewrites their links, `start_page` extracts the README's first sections, `guide_pages` runs
the blocks of the guide, `trick_pages`, `rule_pages`, `example_pages`, `notebook_pages` and `api_pages` generate one
page per trick, rule, example, notebook and module, `pictures` draws with the library's own code, `markdown` has the
pieces that pages are made of, and `sphinx_parts` extends Sphinx.
"""
