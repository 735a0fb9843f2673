"""The doctor: find problems of a model, its data and its training, and suggest remedies.

Measure once, judge many times: a model and a batch become evidence, rules read the evidence, and findings become a
report.

============  ======================================================================================================
``facts/``    the evidence: frozen numbers of a model, a batch, a step and a run, and their JSON; ``graph.py`` walks the
              traced operations, ``contracts.py`` the user's contracts, ``own_failures.py`` the doctor's exceptions
``reading/``  measures existing objects: loaders, datasets, optimizers, parameters, comments in the source
``tracing/``  ``examine.py`` runs one step and records its operations; everything is restored afterwards
``rules/``    one pure function for each rule, in the folder of its code's family; ``rule.py``: how one is written;
              ``registry.py``: find and choose rules; ``finding.py`` and ``outcome.py``: the results of a rule
``judging/``  ``diagnose.py`` does everything in one call; ``project.py`` plans the checks, from the arguments and from
              ``pyproject.toml``; ``own_rules.py`` loads rules that are not packaged; ``judge.py`` runs the rules;
              ``consequences.py`` groups and orders findings; ``baseline.py`` accepts known ones; ``report.py``: all
``show/``     a report as text, HTML, annotations and SARIF
============  ======================================================================================================

Dependencies: rules read only ``Evidence``; reports, command and callbacks read ``Report`` (and, to draw the tree of
modules, ``Report.evidence.model``); only ``examine`` and the functions that it calls see a model.

**A new rule touches three files.**

1. ``rules/<family>/<topic>.py``: a function marked ``@rule(code, severity, kind=..., needs=...)``. Its name is the
   rule's name, its keyword arguments are the options, its docstring is the page that ``lightning-tricks explain``
   prints: a title, *What it looks at*, *Why it matters*, *Options*, *Try*, *False alarms*, *References*. It yields
   ``Symptom``s, ``NotChecked(reason)`` if it could not check, and ``Observed(text)`` with the number that it judged.
   ``explains=(codes,)`` names rules whose findings follow from its own.
2. ``tests/doctor/patients/<family>/<topic>.py``: at least one ``@sick(code)`` and one ``@healthy(code)`` patient.
3. ``CHANGELOG.md``. Then ``make tables`` writes the table of ``docs/rules.md`` from the docstrings.

A rule of kind ``run`` reads ``Evidence.run`` and is called repeatedly during training. It must report nothing until it
has enough data, and report the same place each time: a finding is logged once, and again only if it becomes worse.

Evidence that is missing is added to ``facts/`` first, and measured in ``reading/`` or ``tracing/``.
"""
