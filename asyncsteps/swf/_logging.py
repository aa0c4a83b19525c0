"""Imports simpleflow without letting it take over the logging of the program that embeds it.

At its import simpleflow calls ``logging.config.dictConfig``, which closes every handler that exists: a program
that logs to a file would go on without its log, and never learn why.
"""

import importlib
import logging
import logging.config
import sys


def import_simpleflow() -> None:
    """Import simpleflow, unless it is imported already.

    A program that has set up its logging keeps it, and its handlers get simpleflow's records. Elsewhere simpleflow
    logs to stderr, as it does by itself.
    """
    if "simpleflow" in sys.modules or not _is_set_up():
        importlib.import_module("simpleflow")
        return
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None  # noqa: ARG005 - the name is part of the signature
    try:
        importlib.import_module("simpleflow")
    finally:
        logging.config.dictConfig = configure


def _is_set_up() -> bool:
    """Whether any logger has a handler."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    return any(isinstance(logger, logging.Logger) and logger.handlers for logger in loggers)
