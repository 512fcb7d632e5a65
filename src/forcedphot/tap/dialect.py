"""The grammar of ADQL 2.1 on sqlglot's parser: text becomes a tree that holds nothing but one query."""

import itertools
import math
import re
from typing import Any, ClassVar

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from .errors import Place, QueryError

MAX_CHARACTERS = 200_000
MAX_DEPTH = 60

_ALLOWED = frozenset(
    {
        exp.Add,
        exp.Alias,
        exp.And,
        exp.Anonymous,
        exp.Between,
        exp.Boolean,
        exp.CTE,
        exp.Case,
        exp.Cast,
        exp.Column,
        exp.DPipe,
        exp.DataType,
        exp.DataTypeParam,
        exp.Distinct,
        exp.Div,
        exp.EQ,
        exp.Escape,
        exp.Except,
        exp.Exists,
        exp.From,
        exp.GT,
        exp.GTE,
        exp.Group,
        exp.Having,
        exp.ILike,
        exp.Identifier,
        exp.If,
        exp.In,
        exp.Intersect,
        exp.Is,
        exp.Join,
        exp.LT,
        exp.LTE,
        exp.Like,
        exp.Limit,
        exp.Literal,
        exp.Mul,
        exp.NEQ,
        exp.Neg,
        exp.Not,
        exp.Null,
        exp.Offset,
        exp.Or,
        exp.Order,
        exp.Ordered,
        exp.Paren,
        exp.Select,
        exp.Star,
        exp.Sub,
        exp.Subquery,
        exp.Table,
        exp.TableAlias,
        exp.Union,
        exp.Where,
        exp.With,
    }
)
"""All that a tree may consist of; what the parser knows beyond it is no ADQL."""

_TYPES = {
    exp.DType.CHAR: "VARCHAR",
    exp.DType.VARCHAR: "VARCHAR",
    exp.DType.SMALLINT: "SMALLINT",
    exp.DType.INT: "INTEGER",
    exp.DType.BIGINT: "BIGINT",
    exp.DType.FLOAT: "REAL",
    exp.DType.DOUBLE: "DOUBLE",
    exp.DType.TIMESTAMP: "TIMESTAMP",
}
"""The types that CAST knows, and the database's names of them."""

_CLAUSES = frozenset(
    {
        TokenType.R_PAREN,
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.ORDER_BY,
        TokenType.OFFSET,
    }
)
"""Words that begin a clause or end a list."""

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


class Adql(Dialect):
    """ADQL: no statement but a query, and no function that the parser would treat in its own way."""

    NULL_ORDERING = "nulls_are_last"

    class Tokenizer(tokens.Tokenizer):
        """Words, quotes and comments of ADQL."""

        QUOTES: ClassVar[list[Any]] = ["'"]
        IDENTIFIERS: ClassVar[list[Any]] = ['"']
        COMMENTS: ClassVar[list[Any]] = ["--"]
        COMMANDS: ClassVar[set[Any]] = set()
        KEYWORDS: ClassVar[dict[str, Any]] = {
            **{
                word: kind
                for word, kind in tokens.Tokenizer.KEYWORDS.items()
                if "{" not in word and "/" not in word
            },
            "/": TokenType.SLASH,
            "TOP": TokenType.TOP,
        }

    class Parser(parser.Parser):
        """Queries only; all functions but CAST stay calls by name, which are looked up in an allow-list."""

        JOINS_HAVE_EQUAL_PRECEDENCE: ClassVar[bool] = True  # tells commas from joins that lack their condition
        STATEMENT_PARSERS: ClassVar[dict[Any, Any]] = {}
        FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[Any, Any]] = {"CAST": parser.Parser.FUNCTION_PARSERS["CAST"]}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[Any, Any]] = {
            "CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }


def parse(text: str) -> exp.Query:
    """Parse one query.

    Raises
    ------
    QueryError
        If the text is anything but one query in ADQL.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"the query has {len(text)} characters; at most {MAX_CHARACTERS} are allowed")
    try:
        words = Adql().tokenize(text)
        _check_words(words, text)
        trees = Adql().parser().parse(words, text)
        if len(trees) != 1 or trees[0] is None:
            second = next((word for word in words if word.token_type is TokenType.SEMICOLON), None)
            found = "several statements" if any(trees) else "an empty text"
            raise QueryError(f"expected one query, found {found}", _place_of(second) if second else Place(1, 1))
        tree = trees[0]
        if not isinstance(tree, exp.Query):
            raise QueryError("expected a query, which begins with SELECT or WITH", _place_of(words[0]))
        _check(tree)
    except ParseError as error:
        first: dict[str, Any] = error.errors[0] if error.errors else {}
        message = str(first.get("description") or "the query cannot be parsed")
        if "query.Limit" in message:
            message = "TOP takes a whole number"
        elif "missing for" in message:
            message = "an expression is missing"
        found = f", at {first['highlight']!r}" if first.get("highlight") else ""
        line, column = first.get("line") or 1, first.get("col") or 1
        # sqlglot's columns are those of a word's last character
        start = max(1, column - len(str(first.get("highlight") or " ")) + 1)
        raise QueryError(f"{message}{found}", Place(line, start)) from None
    except TokenError:
        raise QueryError("a quotation is opened and not closed", _open_quote(text)) from None
    except RecursionError:
        raise QueryError("the query is nested too deeply") from None
    return tree


def place(node: exp.Expr) -> Place | None:
    """Say where a node, or the first of its parts that knows, stands in the query."""
    places = (part.meta for part in node.walk() if "line" in part.meta)
    first = min(places, key=lambda meta: meta["start"], default=None)
    if first is None:
        return None
    return Place(first["line"], first["col"] - (first["end"] - first["start"]))


def is_literal(node: exp.Expr, *numbers: str) -> bool:
    """Tell whether a node is one of some numbers, as the query writes it."""
    return isinstance(node, exp.Literal) and not node.is_string and node.name in numbers


def type_name(node: exp.DataType) -> str:
    """Return the database's name of a type that CAST knows."""
    return _TYPES[node.this]


def _place_of(word: Token) -> Place:
    return Place(word.line, max(1, word.col - (word.end - word.start)))


def _open_quote(text: str) -> Place:
    """Find the last quotation mark, which is the one that is not closed."""
    position = max(text.rfind("'"), text.rfind('"'), 0)
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _check_words(words: list[Token], text: str) -> None:
    """Refuse what would exhaust the parser, and commas and ends of numbers that it would overlook."""
    depth = 0
    for word, following in itertools.zip_longest(words, words[1:]):
        if word.token_type is TokenType.L_PAREN:
            depth += 1
        elif word.token_type is TokenType.R_PAREN:
            depth -= 1
        elif word.token_type is TokenType.COMMA and (following is None or following.token_type in _CLAUSES):
            raise QueryError("expected one more item after the comma", _place_of(word))
        elif word.token_type is TokenType.NUMBER:
            after = text[word.end + 1 : word.end + 2]
            found = word.text + after * after.isidentifier()
            if not _NUMBER.fullmatch(found) or not math.isfinite(float(found)):
                raise QueryError(f"expected a number, found {found!r}", _place_of(word))
        if depth > MAX_DEPTH:
            raise QueryError(f"parentheses are nested more than {MAX_DEPTH} deep", _place_of(word))


def _check(tree: exp.Query) -> None:
    for node in tree.walk():
        if type(node) not in _ALLOWED:
            raise QueryError(f"{_spelled(node)} is not part of ADQL", place(node) or place(node.parent or node))
        fault = _fault(node)
        if fault:
            raise QueryError(fault, place(node) or place(node.parent or node))


def _spelled(node: exp.Expr) -> str:
    return type(node).__name__.upper()


def _fault(node: exp.Expr) -> str | None:
    """Tell what of a node that may occur is still no ADQL."""
    arguments = node.args
    if isinstance(node, exp.Table):
        if not isinstance(node.this, exp.Identifier):
            return "expected the name of a table"
        extra = set(_given(node)) - {"this", "db", "alias", "joins"}
        return f"a table cannot have {', '.join(sorted(extra))}" if extra else None
    if isinstance(node, exp.Column) and arguments.get("catalog"):
        return "a column is named by schema, table and column at most"
    if isinstance(node, exp.With) and arguments.get("recursive"):
        return "WITH RECURSIVE is not supported"
    if isinstance(node, exp.Distinct) and arguments.get("on"):
        return "DISTINCT ON is not part of ADQL"
    if isinstance(node, exp.Join) and (arguments.get("method") or "").upper() not in ("", "NATURAL"):
        return f"{arguments['method']} JOIN is not part of ADQL"
    if isinstance(node, exp.Join) and (arguments.get("kind") or "").upper() not in ("", "INNER", "OUTER", "CROSS"):
        return f"{arguments['kind']} JOIN is not part of ADQL"
    if isinstance(node, exp.Join) and (arguments.get("side") or "").upper() not in ("", "LEFT", "RIGHT", "FULL"):
        return f"{arguments['side']} JOIN is not part of ADQL"
    if isinstance(node, exp.Join) and not arguments.get("method"):
        has_condition = bool(arguments.get("on") or arguments.get("using"))
        if has_condition == ((arguments.get("kind") or "").upper() == "CROSS"):
            return "CROSS JOIN has no condition" if has_condition else "JOIN needs a condition: ON or USING"
    if isinstance(node, exp.DataType) and (node.this not in _TYPES or arguments.get("nested")):
        return f"CAST knows the types {', '.join(sorted(set(_TYPES.values())))}"
    if isinstance(node, exp.SetOperation) and (arguments.get("by_name") or arguments.get("on")):
        return "set operations match columns by their order"
    if isinstance(node, exp.Star) and (_given(node) or not _may_be_star(node)):
        return "a star stands alone, after SELECT or in COUNT(*)"
    if isinstance(node, exp.In) and not (arguments.get("expressions") or arguments.get("query")):
        return "IN takes a list or a sub-query, in parentheses"
    if isinstance(node, exp.Select) and not any(_is_written(item) for item in node.expressions):
        return "expected SELECT and a list of columns"
    if isinstance(node, exp.Select) and (arguments.get("kind") or arguments.get("operation_modifiers")):
        return "expected a list of columns after SELECT"
    if isinstance(node, exp.Subquery) and set(_given(node)) - {
        "this",
        "alias",
        "with_",
        "order",
        "limit",
        "offset",
    }:
        return "this kind of sub-query is not part of ADQL"
    if isinstance(node, exp.Limit | exp.Offset) and not _is_count(node.expression):
        return "TOP and OFFSET take a whole number"
    if isinstance(node, exp.Group) and set(_given(node)) - {"expressions"}:
        return "GROUP BY takes a list of columns"
    if isinstance(node, exp.Anonymous) and not isinstance(node.this, str):
        return "expected the name of a function"
    return None


def _may_be_star(star: exp.Star) -> bool:
    item = star.parent if isinstance(star.parent, exp.Column) else star
    # that COUNT is the function is seen to when its arguments are
    return isinstance(item.parent, exp.Select) or (item is star and isinstance(item.parent, exp.Anonymous))


def _is_written(item: exp.Expr) -> bool:
    """Tell a star of the query from the one that the parser puts where SELECT is left out."""
    return not isinstance(item, exp.Star) or item.meta.get("start", 0) > 0


def _given(node: exp.Expr) -> list[str]:
    return [key for key, value in node.args.items() if value]


def _is_count(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()
