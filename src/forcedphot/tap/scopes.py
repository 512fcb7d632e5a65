"""Names: every table and column of a query is looked up, stars are written out, and results are described."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from .dialect import place
from .errors import QueryError, suggestion
from .result_columns import describe
from .tables import ColumnMetadata, TableSource

type Columns = dict[str, ColumnMetadata]

MAX_COLUMNS = 20_000
"""Of all SELECTs of a query together: a short query can name any number of them by stars on stars."""

MAX_TABLES = 100
"""That a query names, each as often as it does."""

RAW_DEC = "__raw_dec"
"""Name under which the database sees declinations just as the files hold them; queries cannot name it."""


@dataclass(frozen=True)
class Resolved:
    """What a column's name in a query stands for.

    Parameters
    ----------
    alias
        The table's name in this query.
    position
        Whether it is the "ra" or "dec" of a table of files, or neither ("").
    has_index
        Whether the rows are ordered on the sky.
    """

    column: ColumnMetadata
    alias: str
    position: str = ""
    has_index: bool = False


@dataclass
class Scope:
    """What can be named in one SELECT.

    Parameters
    ----------
    tables
        Columns by alias, and the table that they are of, unless it is a sub-query.
    merged
        Columns that a NATURAL JOIN or USING makes one of two, by name in lower case.
    """

    parent: "Scope | None"
    tables: dict[str, tuple[Columns, TableSource | None]] = field(default_factory=dict)
    merged: Columns = field(default_factory=dict)
    outputs: Columns = field(default_factory=dict)

    def find(self, name: str, table: str | None) -> list[Resolved]:
        """Find the columns of a name, in this SELECT or else in those around it."""
        found = [
            _resolved(columns[name], alias, source)
            for alias, (columns, source) in self.tables.items()
            if name in columns and (table is None or alias.lower() == table)
        ]
        return found if found or self.parent is None else self.parent.find(name, table)

    def has_table(self, table: str) -> bool:
        inside = any(alias.lower() == table for alias in self.tables)
        return inside or (self.parent is not None and self.parent.has_table(table))


class Resolver:
    """Looks up all names of a query, and rewrites it so that none is left to chance.

    Parameters
    ----------
    tables
        All that can be queried; keys are names in lower case.
    """

    def __init__(self, tables: Mapping[str, TableSource]) -> None:
        self._tables = tables
        self._tables_left, self._columns_left = MAX_TABLES, MAX_COLUMNS
        self.used: dict[str, TableSource] = {}
        """The tables that the query names."""

    def resolve(
        self, query: exp.Query, parent: Scope | None = None, common: Mapping[str, Columns] | None = None
    ) -> Columns:
        """Look up all names in a query; return the columns of its result, by name in lower case."""
        common = dict(common or {})
        if query.args.get("with_"):
            for expression in query.args["with_"].expressions:
                columns = self.resolve(expression.this, parent, common)
                common[expression.alias.lower()] = _renamed(columns, expression.args["alias"])
        if isinstance(query, exp.Subquery):
            outputs = self.resolve(query.this, parent, common)
            self._check_order(query, outputs)
            return outputs
        if isinstance(query, exp.SetOperation):
            outputs, others = (self.resolve(side, parent, common) for side in (query.this, query.expression))
            if len(outputs) != len(others):
                message = f"the two sides have {len(outputs)} and {len(others)} columns; expected equal numbers"
                raise QueryError(message, place(query.expression))
            self._check_order(query, outputs)
            return outputs
        if not isinstance(query, exp.Select):
            raise QueryError("expected SELECT", place(query))
        return self._resolve_select(query, parent, common)

    def _resolve_select(self, select: exp.Select, parent: Scope | None, common: Mapping[str, Columns]) -> Columns:
        scope = Scope(parent)
        if select.args.get("from_"):
            self._add(scope, select.args["from_"].this, common)
        for join in select.args.get("joins") or ():
            self._join(scope, join, common)
        _expand_stars(select, scope, self._columns_left)
        self._columns_left -= len(select.expressions)
        late = [select.args[clause] for clause in ("group", "having", "order") if select.args.get(clause)]
        early = [
            *select.expressions,
            *(select.args[clause] for clause in ("where",) if select.args.get(clause)),
            *(join.args["on"] for join in select.args.get("joins") or () if join.args.get("on")),
        ]
        for part in early:
            self._resolve_names(part, scope, common)
        scope.outputs = _name_outputs(select)
        for part in late:
            self._resolve_names(part, scope, common)
        return scope.outputs

    def _join(self, scope: Scope, join: exp.Join, common: Mapping[str, Columns]) -> None:
        is_natural = (join.args.get("method") or "").upper() == "NATURAL"
        if not is_natural and not join.args.get("using"):
            self._add(scope, join.this, common)
            return
        before = {name: column for columns, _ in scope.tables.values() for name, column in columns.items()}
        known = set(scope.tables)
        self._add(scope, join.this, common)
        new = {name for alias, (columns, _) in scope.tables.items() if alias not in known for name in columns}
        for name in join.args.get("using") or ():
            if name.name.lower() not in before or name.name.lower() not in new:
                raise QueryError(f"USING names {name.name!r}, which both tables must have", place(name))
            scope.merged[name.name.lower()] = before[name.name.lower()]
        if is_natural:
            shared = {name: column for name, column in before.items() if name in new}
            if not shared:
                raise QueryError("NATURAL JOIN takes tables with columns in common; these have none", place(join))
            scope.merged.update(shared)
            # left to itself, the database would join by the columns that queries cannot see, too
            join.set("method", None)
            join.set("using", [exp.to_identifier(column.name, quoted=True) for column in shared.values()])

    def _add(self, scope: Scope, node: exp.Expr, common: Mapping[str, Columns]) -> None:
        """Add a table, a sub-query or a join in parentheses."""
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self._add(scope, node.this, common)
            return
        if not self._tables_left:
            raise QueryError(f"a query can name at most {MAX_TABLES} tables", place(node))
        self._tables_left -= 1
        source: TableSource | None = None
        if isinstance(node, exp.Table):
            alias, columns, source = self._look_up(node, common)
        elif isinstance(node, exp.Subquery):
            alias = node.alias
            columns = self.resolve(node.this, scope.parent, common)
            if not alias:
                raise QueryError("a sub-query in FROM needs a name: (SELECT ...) AS name", place(node))
        else:
            raise QueryError("expected a table or a sub-query", place(node))
        if node.args.get("alias"):
            columns = _renamed(columns, node.args["alias"])
            if node.args["alias"].args.get("columns"):
                source = None  # which is the position by these names is not known
        if any(alias.lower() == other.lower() for other in scope.tables):
            raise QueryError(f"two tables are called {alias}; name one of them with AS", place(node))
        scope.tables[alias] = columns, source
        for join in node.args.get("joins") or ():
            self._join(scope, join, common)
            if join.args.get("on"):
                self._resolve_names(join.args["on"], scope, common)

    def _look_up(self, node: exp.Table, common: Mapping[str, Columns]) -> tuple[str, Columns, TableSource | None]:
        if not node.db and node.name.lower() in common:
            return node.alias or node.name, common[node.name.lower()], None
        written = f"{node.db}.{node.name}" if node.db else node.name
        table = self._tables.get(written.lower())
        if table is None:
            known = (table.name for table in self._tables.values())
            raise QueryError(f"there is no table {written!r}; {suggestion(written, known)}", place(node))
        self.used[table.name.lower()] = table
        if not node.db:  # schema and table are in one pair of quotation marks
            for part, name in zip(("db", "this"), table.name.split(".", 1), strict=True):
                node.set(part, exp.to_identifier(name, quoted=True))
        alias = node.alias or node.name
        if not node.alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        return alias, dict(table.columns), table

    def _resolve_names(self, part: exp.Expr, scope: Scope, common: Mapping[str, Columns]) -> None:
        for node in _own_nodes(part):
            if isinstance(node, exp.Query):
                self.resolve(node, scope, common)
            elif isinstance(node, exp.Column) and "resolved" not in node.meta:
                _resolve_column(node, scope)

    def _check_order(self, query: exp.Query, outputs: Columns) -> None:
        """Look up what the result of a set operation is ordered by."""
        order = query.args.get("order")
        for column in order.find_all(exp.Column) if order else ():
            if column.name.lower() not in outputs:
                hint = suggestion(column.name, outputs)
                raise QueryError(f"the result has no column {column.name!r}; {hint}", place(column))


def _own_nodes(part: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the nodes of a part of a SELECT; of the queries in it, only the outermost node."""
    return iter(list(part.walk(prune=lambda node: isinstance(node, exp.Query))))


def _resolve_column(node: exp.Column, scope: Scope) -> None:
    name, table = node.name.lower(), node.table.lower() or None
    if table is not None and not scope.has_table(table):
        known = (alias for alias in scope.tables)
        raise QueryError(
            f"no table of this query is called {node.table!r}; {suggestion(table, known)}", place(node)
        )
    if table is None and name in scope.outputs and isinstance(node.parent, exp.Ordered):
        return
    found = scope.find(name, table)
    if not found:
        if table is None and name in scope.outputs:
            return
        known = (column.name for columns, _ in scope.tables.values() for column in columns.values())
        raise QueryError(f"there is no column {node.name!r}; {suggestion(name, known)}", place(node))
    is_merged = table is None and name in scope.merged
    if len(found) > 1 and not is_merged:
        tables = " and ".join(resolved.alias for resolved in found)
        raise QueryError(f"column {node.name!r} is in {tables}; write which one is meant", place(node))
    node.meta["resolved"] = found[0]
    node.set("db", None)
    if not is_merged:
        node.set("table", exp.to_identifier(found[0].alias, quoted=True))


def _resolved(column: ColumnMetadata, alias: str, source: TableSource | None) -> Resolved:
    if source is None or not source.files or source.ra is None or source.dec is None:
        return Resolved(column, alias)
    roles = {source.ra.lower(): "ra", source.dec.lower(): "dec"}
    return Resolved(column, alias, roles.get(column.name.lower(), ""), source.has_index)


def _expand_stars(select: exp.Select, scope: Scope, most: int) -> None:
    expanded: list[exp.Expr] = []
    for item in select.expressions:
        if isinstance(item, exp.Star):
            if not scope.tables:
                raise QueryError("a star needs a table, after FROM", place(item))
            expanded += [
                exp.column(exp.to_identifier(column.name, quoted=True)) for column in scope.merged.values()
            ]
            expanded += [
                _column(column, alias)
                for alias, (columns, _) in scope.tables.items()
                for name, column in columns.items()
                if name not in scope.merged
            ]
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            chosen = [alias for alias in scope.tables if alias.lower() == item.table.lower()]
            if not chosen:
                message = (
                    f"no table of this query is called {item.table!r}; {suggestion(item.table, scope.tables)}"
                )
                raise QueryError(message, place(item))
            expanded += [_column(column, chosen[0]) for column in scope.tables[chosen[0]][0].values()]
        else:
            expanded.append(item)
        if len(expanded) > most:
            raise QueryError(f"a query can have at most {MAX_COLUMNS} columns", place(item))
    select.set("expressions", expanded)


def _column(column: ColumnMetadata, alias: str) -> exp.Column:
    return exp.column(exp.to_identifier(column.name, quoted=True), table=exp.to_identifier(alias, quoted=True))


def _name_outputs(select: exp.Select) -> Columns:
    """Give each column of the result a name of its own, and describe it."""
    outputs: Columns = {}
    named: list[exp.Expr] = []
    counts: dict[str, int] = {}
    for number, item in enumerate(select.expressions, 1):
        value = item.this if isinstance(item, exp.Alias) else item
        described = describe(value)
        wanted = item.alias if isinstance(item, exp.Alias) else described.name or f"col_{number}"
        name, count = wanted, counts.get(wanted.lower(), 1)
        while name.lower() in outputs:
            count += 1
            name = f"{wanted}_{count}"
        counts[wanted.lower()] = count
        outputs[name.lower()] = replace(described, name=name)
        alias = exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))
        named.append(alias)
    select.set("expressions", named)
    return outputs


def _renamed(columns: Mapping[str, ColumnMetadata], alias: exp.TableAlias) -> Columns:
    """Apply the names of columns in ``AS name (column, ...)``, if there are any."""
    names = [identifier.name for identifier in alias.args.get("columns") or ()]
    if not names:
        return dict(columns)
    if len(names) != len(columns):
        raise QueryError(f"{len(names)} names are given to {len(columns)} columns", place(alias))
    pairs = zip(names, columns.values(), strict=True)
    return {name.lower(): replace(column, name=name) for name, column in pairs}
