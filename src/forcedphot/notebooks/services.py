"""The TAP service that a notebook asks for."""

from __future__ import annotations

from collections.abc import Mapping

from ..tap.client import URL_VARIABLES, get_tap_service


def tap_environment(repository: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables with which ``get_tap_service`` finds a service.

    Parameters
    ----------
    repository
        Whose tables it has. The service that runs for it is taken; else one is started, which ends with this
        process.
    environment
        Environment variables; where they name a service already, they are returned as they are.

    Raises
    ------
    ConfigurationError
        If a service does not start.
    MissingExtraError
        If packages that it needs are not installed.
    """
    if any(environment.get(variable) for variable in URL_VARIABLES):
        return dict(environment)
    service = get_tap_service(repository=repository, start=True)
    return {**environment, URL_VARIABLES[0]: str(service.baseurl)}
