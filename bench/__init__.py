"""Benchmarks of asyncsteps beside its peers, by public names only: ``python -m bench --help``.

How a bench plugs in: it is a module of this package whose name has no leading underscore, and nothing has to be
registered. ``bench/swf.py`` is run by ``python -m bench swf``. Its docstring's first line is its help. It holds

- ``run(options: Options) -> Result`` (both from ``bench._report``): measures, and returns what it found as tables,
  goals and charts. It prints nothing on stdout; progress goes through ``bench._report.say``. What it starts, it
  ends. A peer that is compared runs in a process of its own (``bench._measure.run_child``), one after the other,
  so that its CPU time and its memory are its own.
- ``DEFAULTS: dict[str, object]``: the defaults of the options that it reads, by the field names of ``Options``.
- ``PEERS``, where it compares: a mapping or collection with the names that ``--peers`` takes.
- ``QUICK: tuple[str, ...]``: the runs of it that belong to ``make bench``, each a command line without
  ``python -m bench``, such as ``"swf --keys 300,1000"``. All quick runs of all benches together end within
  five minutes on two cores. A result's heading in docs/benchmarks-tables.md is ``--label``, else its
  ``Result.key``.

A measurement is a mapping of JSON values (a table's row): ``--json`` keeps all that was found, and
``--from FILE --markdown`` renders the documentation's tables from it.
"""
