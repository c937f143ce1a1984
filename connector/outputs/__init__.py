"""Output types and their registry. A new type is its settings class and one line in ``BUILT_IN``.

Plugins register their settings class under the entry-point group ``email_connector.outputs``. A type's
module is imported only when a configuration names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from connector.errors import ConfigurationError, Problem
from connector.outputs.common import OutputSettings
from connector.yaml_nodes import suggestion

GROUP = "email_connector.outputs"


class _OnDemand(Mapping[str, type[OutputSettings]]):
    """Settings classes by type; a module is imported when its class is asked for.

    A daemon has one or two types of output. All of them would be a tenth of its start.
    """

    def __init__(self, places: Mapping[str, tuple[str, str]]) -> None:
        self._places = places

    def __getitem__(self, kind: str) -> type[OutputSettings]:
        module, name = self._places[kind]
        model: type[OutputSettings] = getattr(import_module(module), name)
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, kind: object) -> bool:
        return kind in self._places


BUILT_IN: Mapping[str, type[OutputSettings]] = _OnDemand(
    {
        "elasticsearch": ("connector.outputs.elasticsearch.output", "ElasticsearchSettings"),
        "file": ("connector.outputs.file.output", "FileSettings"),
        "http": ("connector.outputs.http.output", "HttpSettings"),
        "kafka": ("connector.outputs.kafka.settings", "KafkaSettings"),
        "otlp": ("connector.outputs.otlp.output", "OtlpSettings"),
        "s3": ("connector.outputs.s3.output", "S3Settings"),
        "sentinel": ("connector.outputs.sentinel.output", "SentinelSettings"),
        "splunk_hec": ("connector.outputs.splunk_hec.output", "SplunkHecSettings"),
        "stdout": ("connector.outputs.stdout", "StdoutSettings"),
        "syslog": ("connector.outputs.syslog.output", "SyslogSettings"),
    }
)


def names(plugins: Iterable[EntryPoint] | None = None) -> list[str]:
    """Return the names of all types, without loading any plugin."""
    return sorted({*BUILT_IN, *(plugin.name for plugin in _plugins(plugins))})


def settings_class(kind: str, plugins: Iterable[EntryPoint] | None = None) -> type[OutputSettings]:
    """Return the settings class of the output type *kind*.

    Args:
        kind: the value of ``type`` in a configuration.
        plugins: entry points to choose from; those of the installed distributions by default.

    Raises:
        ConfigurationError: the type is unknown, or the plugin that provides it is broken.
    """
    candidates = [plugin for plugin in _plugins(plugins) if plugin.name == kind]
    claimants = sorted(_distribution(plugin) for plugin in candidates)
    if kind in BUILT_IN:
        if candidates:
            raise _problem(
                f"{', '.join(claimants)} claims the output type {kind}, which is built in",
                "uninstall it, or ask its author for another name",
            )
        return BUILT_IN[kind]
    if not candidates:
        raise _problem(f"there is no output type {kind}", suggestion(kind, names(plugins)))
    if len(candidates) > 1:
        raise _problem(
            f"the output type {kind} is claimed by {' and by '.join(claimants)}", "uninstall all but one"
        )
    return _load(candidates[0])


def _plugins(plugins: Iterable[EntryPoint] | None) -> list[EntryPoint]:
    return list(entry_points(group=GROUP) if plugins is None else plugins)


def _load(plugin: EntryPoint) -> type[OutputSettings]:
    label = f"the output type {plugin.name} of {_distribution(plugin)}"
    try:
        loaded: object = plugin.load()
    except Exception as error:  # importing a plugin may raise anything
        raise _problem(
            f"{label} cannot be loaded: {type(error).__name__}: {error}",
            "reinstall or update it, or remove the output from the configuration",
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, OutputSettings)):
        raise _problem(f"{label} is not a settings class ({plugin.value})", "it must extend OutputSettings")
    if loaded.__abstractmethods__:
        raise _problem(f"{label} lacks {', '.join(sorted(loaded.__abstractmethods__))}", "update it")
    declared = loaded.model_fields.get("type")
    if declared is None or plugin.name not in getattr(declared.annotation, "__args__", ()):
        raise _problem(f"{label} does not declare its field `type` with that name", "update it")
    return loaded


def _distribution(plugin: EntryPoint) -> str:
    distribution = plugin.dist
    return (
        f"the distribution {distribution.name} {distribution.version}"
        if distribution
        else f"an unknown distribution ({plugin.value})"
    )


def _problem(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(Problem(message, hint=hint))
