"""Task: an object with a pex_config configuration, a name and a logger, as the pipelines know it.

It takes the arguments with which lsst.pipe.base makes subtasks, but does not need that package.
"""

import copy
import logging
import weakref
from typing import Any, ClassVar

from lsst.pex.config import Config

from .errors import ConfigurationError


class Task:
    """Base of the measuring tasks.

    Parameters
    ----------
    config
        An instance of the class's ``ConfigClass``; its defaults if None. It is validated and then, if it is not
        frozen, frozen into a copy, so that later changes of the caller's object have no effect.
    name
        Name within the parent task; the class's default name if None.
    parentTask
        Task that this one is a part of, of this class or of lsst.pipe.base; its name goes before this one's in the
        log.

    Attributes
    ----------
    metadata
        What the task records of its run, of the type of the parent's; a dict if there is none.

    Raises
    ------
    ConfigurationError
        If the configuration is not valid.
    """

    ConfigClass: ClassVar[type[Config]]
    _DefaultName: ClassVar[str]

    def __init__(self, *, config: Config | None = None, name: str | None = None, parentTask: Any = None) -> None:
        if config is None:
            config = self.ConfigClass()
        if not isinstance(config, self.ConfigClass):
            raise ConfigurationError(
                f"{type(self).__name__} is configured by {self.ConfigClass.__name__}; got {type(config).__name__}."
            )
        try:
            config.validate()
        except ConfigurationError:
            raise
        except ValueError as error:  # pex_config's own complaints
            raise ConfigurationError(f"The configuration is not valid: {error}") from error
        # A frozen configuration cannot change, and its copy takes longer than all else a task does to begin.
        self.config: Any = config if config._frozen else copy.deepcopy(config)
        self.config.freeze()
        self._name = self._fullName = name or self._DefaultName
        self._taskDict: dict[str, weakref.ReferenceType[Any]] = {}
        self.metadata: Any = {}
        self.log = logging.getLogger(f"lsst.{self._name}")
        if parentTask is not None:
            self._fullName = f"{parentTask.getFullName()}.{self._name}"
            # lsst.pipe.base's tasks find their parts, and these parts' metadata, in the dictionary that all share.
            self._taskDict = parentTask._taskDict
            self.metadata = type(parentTask.metadata)()
            self.log = logging.getLogger(f"{parentTask.log.name}.{self._name}")
        self._taskDict[self._fullName] = weakref.ref(self)

    def getName(self) -> str:
        """Return the task's name within its parent."""
        return self._name

    def getFullName(self) -> str:
        """Return the task's name after those of its parents, with dots between them."""
        return self._fullName

    def getTaskDict(self) -> dict[str, weakref.ReferenceType[Any]]:
        """Return all tasks of the hierarchy by their full names."""
        return dict(self._taskDict)

    def getSchemaCatalogs(self) -> dict[str, Any]:
        """Return empty catalogs with the schemas of the task's own outputs, by dataset type: none."""
        return {}

    def getAllSchemaCatalogs(self) -> dict[str, Any]:
        """Return empty catalogs with the schemas of the outputs of all tasks of the hierarchy, by dataset type."""
        tasks: list[Any] = [reference() for reference in self._taskDict.values()]
        return {
            name: catalog
            for task in tasks
            if hasattr(task, "getSchemaCatalogs")
            for name, catalog in task.getSchemaCatalogs().items()
        }

    def makeSubtask(self, name: str, **arguments: Any) -> None:
        """Make the task that the configurable field ``name`` configures, as an attribute of that name."""
        configurable = getattr(self.config, name)
        setattr(self, name, configurable.apply(name=name, parentTask=self, **arguments))
