"""Run style: the frame and the style sheet of the page of a run, light, dark and on paper."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style} body {{ margin: 0; background: Canvas; color: CanvasText; }}</style></head>
<body>{body}</body></html>
"""

STYLE = """
:root { color-scheme: light dark; }
.lt-run { --c0:#1f6fb5; --c1:#c9560b; --c2:#2a7f43; --c3:#b3261e; --c4:#7a4fb0; --c5:#7d5648; --c6:#b0387f;
  --c7:#5b6670;
  font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
@media screen and (prefers-color-scheme: dark) {
  .lt-run { --c0:#6cb1f0; --c1:#f5a15c; --c2:#74c98c; --c3:#f28b82; --c4:#bd9bee; --c5:#c9a396;
    --c6:#ee8fc6; --c7:#aab4bd; }
}
.lt-run h1 { font-size: 1.6rem; margin: .2rem 0; line-height: 1.25; }
.lt-run h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; padding-bottom: .2rem; border-bottom: 1px solid; }
.lt-run h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.lt-run .lead { font-size: 1.1rem; margin: .4rem 0 0; }
.lt-run section { display: grid; grid-template-columns: minmax(0, 1fr); column-gap: 2rem; }
.lt-run section > h2, .lt-run section > h3 { grid-column: 1 / -1; }
.lt-run figure { margin: .6rem 0 1rem; min-width: 0; }
.lt-run figcaption { font-weight: 600; }
.lt-run figure > svg, .lt-run .scroll > svg { display: block; width: 100%; height: auto; max-width: 56rem; }
.lt-run .tick { font: 11px system-ui, sans-serif; fill: currentColor; opacity: .85; }
.lt-run .axis { fill: none; stroke: currentColor; opacity: .6; }
.lt-run .grid { fill: none; stroke: currentColor; opacity: .14; }
.lt-run .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.lt-run .level { fill: none; stroke: currentColor; stroke-dasharray: 5 3; }
.lt-run .band { fill: var(--c1); opacity: .16; }
.lt-run .heat { fill: none; stroke: var(--c0); shape-rendering: crispEdges; }
.lt-run svg.rows { min-width: 34rem; }
.lt-run .bar { fill: none; stroke-width: 9; } .lt-run .event { fill: currentColor; stroke: none; }
.lt-run .c0 { stroke: var(--c0); } .lt-run .c1 { stroke: var(--c1); } .lt-run .c2 { stroke: var(--c2); }
.lt-run .c3 { stroke: var(--c3); } .lt-run .c4 { stroke: var(--c4); } .lt-run .c5 { stroke: var(--c5); }
.lt-run .c6 { stroke: var(--c6); } .lt-run .c7 { stroke: var(--c7); } .lt-run .dot { fill: currentColor; }
.lt-run .legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: .2rem 0; padding: 0; }
.lt-run .mark { width: 22px; height: 8px; margin-right: .4rem; }
.lt-run .scroll { overflow-x: auto; }
.lt-run table { border-collapse: collapse; font-size: .9rem; }
.lt-run th, .lt-run td { text-align: left; vertical-align: top; overflow-wrap: break-word; padding: .2rem .9rem .2rem 0;
  border-bottom: 1px solid #8884; font-variant-numeric: tabular-nums; min-width: 4rem; }
.lt-run .columns :is(th, td) { min-width: 10rem; max-width: 24rem; overflow-wrap: anywhere; }
.lt-run .columns :is(th, td):first-child { position: sticky; left: 0; min-width: 8rem; background: Canvas; }
.lt-run code { font-family: ui-monospace, monospace; font-size: .92em; }
.lt-run .error, .lt-run .missing { color: var(--c3); } .lt-run .warning { color: var(--c1); }
.lt-run .info { color: var(--c0); } .lt-run .done { color: var(--c2); }
.lt-run .items { list-style: none; padding: 0; margin: 0; }
.lt-run .items li { display: grid; grid-template-columns: 9rem minmax(8rem, 18rem) minmax(0, 1fr); gap: 0 1rem;
  padding: .3rem 0; margin: 0; border-bottom: 1px solid #8884; }
.lt-run summary { cursor: pointer; }
.lt-run li { margin: .3rem 0; }
@media (max-width: 30rem) {
  .lt-run { padding: .7rem; } .lt-run .chart .tick { font-size: 17px; }
  .lt-run .items li { grid-template-columns: minmax(0, 1fr); }
}
@media (min-width: 70rem) { .lt-run section:has(figure + figure) { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { :root { color-scheme: light; } .lt-run { max-width: none; font-size: 11pt; }
  .lt-run figure, .lt-run .items li { break-inside: avoid; } .lt-run h2, .lt-run h3 { break-after: avoid; }
  .lt-run svg.rows { min-width: 0; } }
"""
