"""The doctor: why something is wrong, and what to try.

Tracer → evidence → rules → findings, each a room of its own:

=====================  ===============================================================================================
``examine.py``         measures once: model + loaders + one batch → ``Evidence``; all of a person's things are put back
``evidence.py``        frozen numbers and their JSON; ``model_facts.py``, ``trace_facts.py``: model, traced operations;
                       ``surroundings.py``: data sets, the run, earlier training
``run_facts.py``       what training showed, observed by the callback: bounded plain numbers, the same on all processes;
                       ``foresee.py``: what the first look tells of them
``graph.py``           walks over that graph: what feeds what, through which operations
``rules/``             pure functions of the evidence and of options; they never see a tensor
``roles.py``           what rules ask again and again: which leaves are targets, which layers come last
``rule.py``            how a rule is written; ``registry.py`` finds and chooses; ``judge.py`` runs them
``project.py``         what the project's ``pyproject.toml`` says, beneath what a call says
``fold.py``            what follows from a finding is put under it; the rest is sorted by what to mend first
``finding.py``         what comes out; ``report.py`` holds it
``ignores.py``         what comments in the source (``read_source.py``) and patterns tell to leave out
``show_*.py``          a report as text, HTML, annotations; ``module_tree.py`` puts findings in their places
``diagnose.py``        all of this in one call
=====================  ===============================================================================================

Who reads what: rules read ``Evidence`` alone; reports, command and callbacks read ``Report`` (and, to draw the tree of
modules, ``Report.evidence.model``); only ``examine`` and what it calls see a model.

**A new rule touches three files.**

1. ``rules/<topic>.py``: a function marked ``@rule(code, severity, kind=..., needs=...)``. Its name is the rule's name,
   its keyword arguments are the options, its docstring is the page that ``lightning-tricks explain`` prints: a title,
   *What it looks at*, *Why it matters*, *Options*, *Try*, *False alarms*, *References*. It yields ``Symptom``s, and
   ``NotChecked(reason)`` where it could not look. ``explains=(codes,)`` names rules whose findings follow from its own.
2. ``tests/doctor/patients/<topic>.py``: at least one ``@sick(code)`` and one ``@healthy(code)`` patient.
3. ``CHANGELOG.md``. The README's table is printed anew from the docstrings.

A rule of kind ``run`` reads ``Evidence.run`` and is asked again and again while a model trains, so it must keep quiet
until it can know, and find the same place again: a finding is said once, and anew only when it has become worse.

Evidence that is missing is added to ``evidence.py`` first, and measured in ``read_*.py`` or the tracer.
"""
