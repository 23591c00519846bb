/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions (specs: syntax-grammar). One function a rule, from Expr down to Primary. Depth is
 * bounded twice: while reading (parentheses) and in the tree (chains of accesses). */
#include "engine/cedar/function.h"
#include "engine/cedar/node.h"
#include "engine/cedar/parser.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

enum { UNARY_MAX = 4 };

static dv_result too_deep(const dv_cedar_parser *parser)
{
    return dv_cedar_error_at(&parser->lexer, parser->token.offset,
                             "expressions may be %d levels deep", DV_LIMIT_CEDAR_DEPTH);
}

/* The limit of a tree's depth, with the place where it was passed. */
static dv_result placed(const dv_cedar_parser *parser, dv_result result)
{
    return result == DV_ERR_TOO_LARGE ? too_deep(parser) : result;
}

static dv_result node_over(dv_cedar_parser *parser, dv_cedar_kind kind,
                           const dv_cedar_node *operands, uint32_t count, dv_cedar_node *ret_node)
{
    return placed(parser, dv_cedar_node_over(parser->arena, kind, operands, count, ret_node));
}

static dv_result node_of_value(dv_cedar_parser *parser, dv_cedar_value value, size_t offset,
                               dv_cedar_node *ret_node)
{
    DV_TRY(dv_cedar_node_value(parser->arena, value, ret_node));
    dv_cedar_node_place(ret_node, offset);
    return DV_OK;
}

static dv_result list_add(dv_cedar_parser *parser, dv_cedar_list *list, const dv_cedar_node *node)
{
    return dv_cedar_list_add(parser->arena, list, node, sizeof(*node));
}

/* [ExprList], up to the closing token, which is taken. Like Cedar's own reader, and unlike its
 * grammar, all lists may end with a comma. */
static dv_result parse_list(dv_cedar_parser *parser, const char *close, dv_cedar_list *list)
{
    bool empty = false, more = true;

    DV_TRY(dv_cedar_parser_accept(parser, close, &empty));
    while (!empty && more) {
        dv_cedar_node node;
        DV_TRY(dv_cedar_parse_expression(parser, &node));
        DV_TRY(list_add(parser, list, &node));
        DV_TRY(dv_cedar_parse_more(parser, close, &more));
    }
    return DV_OK;
}

/* '[' [ExprList] ']' */
static dv_result parse_set(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    dv_cedar_list list = {0};
    size_t start = parser->token.offset;

    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(parse_list(parser, "]", &list));
    DV_TRY(placed(parser, dv_cedar_node_set(parser->arena, &list, ret_node)));
    dv_cedar_node_place(ret_node, start);
    return DV_OK;
}

/* IDENT | STR */
static dv_result parse_name(dv_cedar_parser *parser, dv_slice *ret_name)
{
    if (parser->token.kind == DV_CEDAR_TOKEN_STRING) {
        return dv_cedar_parse_string(parser, ret_name);
    }
    if (parser->token.kind != DV_CEDAR_TOKEN_IDENT || !dv_cedar_ident_valid(parser->token.text)) {
        return dv_cedar_parser_error(parser, "an attribute's name");
    }
    *ret_name = parser->token.text;
    return dv_cedar_parser_advance(parser);
}

static dv_result node_of_fields(dv_cedar_parser *parser, dv_cedar_list *fields, size_t start,
                                dv_cedar_node *ret_node)
{
    dv_slice twice = {0};
    dv_result result = dv_cedar_node_record(parser->arena, fields, ret_node, &twice);

    if (result == DV_ERR_EXISTS) {
        return dv_cedar_error_at(&parser->lexer, start, "this record has two values for '%.*s'",
                                 DV_SLICE_ARGS(dv_slice_sub(twice, 0, 40)));
    }
    DV_TRY(placed(parser, result));
    dv_cedar_node_place(ret_node, start);
    return DV_OK;
}

/* '{' [RecInits] '}' */
static dv_result parse_record(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    dv_cedar_list fields = {0};
    size_t start = parser->token.offset;
    bool more = true, empty = false;

    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_accept(parser, "}", &empty));
    while (!empty && more) {
        dv_cedar_field one = {0};
        DV_TRY(parse_name(parser, &one.name));
        DV_TRY(dv_cedar_parser_expect(parser, ":"));
        DV_TRY(dv_cedar_parse_expression(parser, &one.node));
        DV_TRY(dv_cedar_list_add(parser->arena, &fields, &one, sizeof(one)));
        DV_TRY(dv_cedar_parse_more(parser, "}", &more));
    }
    return node_of_fields(parser, &fields, start, ret_node);
}

/* The call of a function or, with the receiver already in the list, a method. */
static dv_result parse_call(dv_cedar_parser *parser, const dv_cedar_token *name, bool method,
                            dv_cedar_list *args, dv_cedar_node *ret_node)
{
    const dv_cedar_function *function = dv_cedar_function_find(name->text);
    dv_slice shown = dv_slice_sub(name->text, 0, 40);

    if (function == NULL || function->method != method) {
        return dv_cedar_error_at(&parser->lexer, name->offset, "there is no %s '%.*s'",
                                 method ? "method" : "function", DV_SLICE_ARGS(shown));
    }
    DV_TRY(parse_list(parser, ")", args));
    if (args->count != function->arity && !function->pure) {
        return dv_cedar_error_at(&parser->lexer, name->offset, "'%.*s' takes %d arguments, not %zu",
                                 DV_SLICE_ARGS(shown), function->arity - 1, args->count - 1);
    }
    DV_TRY(placed(parser, dv_cedar_node_call(parser->arena, function, args, ret_node)));
    if (!method) {
        dv_cedar_node_place(ret_node, name->offset);
    }
    return DV_OK;
}

/* INT ::= ['-'] digits; the minus has been taken. */
static dv_result parse_integer(dv_cedar_parser *parser, bool negative, dv_cedar_node *ret_node)
{
    uint64_t magnitude = 0, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    size_t start = parser->token.offset;
    dv_slice digits = parser->token.text;

    for (size_t i = 0; i < digits.len; i++) {
        if (__builtin_mul_overflow(magnitude, 10u, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(digits.ptr[i] - '0'), &magnitude) ||
            magnitude > most) {
            return dv_cedar_error_at(&parser->lexer, parser->token.offset,
                                     "this number does not fit 64 bits");
        }
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    return node_of_value(parser, dv_cedar_long((int64_t)(negative ? 0 - magnitude : magnitude)),
                         start, ret_node);
}

static bool variable_named(dv_slice name, dv_cedar_variable *ret_variable)
{
    static const char *const names[] = {"principal", "action", "resource", "context"};

    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_str(name, names[i])) {
            *ret_variable = (dv_cedar_variable)i;
            return true;
        }
    }
    return false;
}

/* VAR | Entity | ExtFun '(' [ExprList] ')' */
static dv_result parse_named(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    dv_cedar_token first = parser->token;
    dv_slice path = {0}, uid = {0};
    dv_cedar_list args = {0};
    bool call = false;

    DV_TRY(dv_cedar_parse_path(parser, &path, &uid));
    if (uid.len > 0) {
        return node_of_value(parser, dv_cedar_entity_ref(uid), first.offset, ret_node);
    }
    DV_TRY(dv_cedar_parser_accept(parser, "(", &call));
    if (call) {
        first.text = path;
        return parse_call(parser, &first, false, &args, ret_node);
    }
    *ret_node = (dv_cedar_node){
        .kind = DV_CEDAR_NODE_VARIABLE, .depth = 1, .offset = (uint32_t)first.offset};
    if (!variable_named(path, &ret_node->variable)) {
        return dv_cedar_error_at(
            &parser->lexer, first.offset,
            "'%.*s' is no variable: there are principal, action, resource, context",
            DV_SLICE_ARGS(dv_slice_sub(path, 0, 40)));
    }
    return DV_OK;
}

/* '(' Expr ')' */
static dv_result parse_parenthesis(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parse_expression(parser, ret_node));
    return dv_cedar_parser_expect(parser, ")");
}

/* Primary; LITERAL ::= BOOL | INT | STR */
static dv_result parse_primary(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    size_t start = parser->token.offset;
    dv_slice text = {0};

    if (parser->token.kind == DV_CEDAR_TOKEN_INT) {
        return parse_integer(parser, false, ret_node);
    }
    if (parser->token.kind == DV_CEDAR_TOKEN_STRING) {
        DV_TRY(dv_cedar_parse_string(parser, &text));
        return node_of_value(parser, dv_cedar_string(text), start, ret_node);
    }
    if (dv_cedar_parser_at(parser, "true") || dv_cedar_parser_at(parser, "false")) {
        bool boolean = dv_cedar_parser_at(parser, "true");
        DV_TRY(dv_cedar_parser_advance(parser));
        return node_of_value(parser, dv_cedar_bool(boolean), start, ret_node);
    }
    if (parser->token.kind == DV_CEDAR_TOKEN_IDENT) {
        return parse_named(parser, ret_node);
    }
    if (dv_cedar_parser_at(parser, "(")) {
        return parse_parenthesis(parser, ret_node);
    }
    if (dv_cedar_parser_at(parser, "[")) {
        return parse_set(parser, ret_node);
    }
    if (dv_cedar_parser_at(parser, "{")) {
        return parse_record(parser, ret_node);
    }
    if (parser->token.kind == DV_CEDAR_TOKEN_SLOT) {
        return dv_cedar_parser_error(parser, "no template's placeholder in a condition");
    }
    return dv_cedar_parser_error(parser, "an expression");
}

/* '.' IDENT ['(' [ExprList] ')'], behind the dot. */
static dv_result parse_dotted(dv_cedar_parser *parser, dv_cedar_node *node)
{
    dv_cedar_token name = parser->token;
    dv_cedar_list args = {0};
    bool call = false;

    if (name.kind != DV_CEDAR_TOKEN_IDENT || !dv_cedar_ident_valid(name.text)) {
        return dv_cedar_parser_error(parser, "an attribute's or method's name");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_accept(parser, "(", &call));
    if (call) {
        DV_TRY(list_add(parser, &args, node));
        return parse_call(parser, &name, true, &args, node);
    }
    dv_cedar_node object = *node;
    DV_TRY(node_over(parser, DV_CEDAR_NODE_ATTRIBUTE, &object, 1, node));
    node->name = name.text;
    return DV_OK;
}

/* '[' STR ']', behind the bracket. */
static dv_result parse_indexed(dv_cedar_parser *parser, dv_cedar_node *node)
{
    dv_cedar_node object = *node;
    dv_slice name = {0};

    DV_TRY(dv_cedar_parse_string(parser, &name));
    DV_TRY(dv_cedar_parser_expect(parser, "]"));
    DV_TRY(node_over(parser, DV_CEDAR_NODE_ATTRIBUTE, &object, 1, node));
    node->name = name;
    return DV_OK;
}

/* {Access} */
static dv_result parse_accesses(dv_cedar_parser *parser, dv_cedar_node *node)
{
    for (;;) {
        bool dot = false, bracket = false;
        DV_TRY(dv_cedar_parser_accept(parser, ".", &dot));
        if (!dot) {
            DV_TRY(dv_cedar_parser_accept(parser, "[", &bracket));
        }
        if (dot) {
            DV_TRY(parse_dotted(parser, node));
        } else if (bracket) {
            DV_TRY(parse_indexed(parser, node));
        } else {
            return DV_OK;
        }
    }
}

/* Member ::= Primary {Access} */
static dv_result parse_member(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    DV_TRY(parse_primary(parser, ret_node));
    return parse_accesses(parser, ret_node);
}

/* The minus in front belongs to a number that stands alone, so that the least long can be written:
 * INT of the grammar. In `-1.a` it does not. */
static dv_result parse_negative(dv_cedar_parser *parser, unsigned *minuses, dv_cedar_node *ret_node)
{
    dv_cedar_lexer ahead = parser->lexer;
    dv_cedar_token next;

    if (*minuses == 0 || parser->token.kind != DV_CEDAR_TOKEN_INT) {
        return parse_member(parser, ret_node);
    }
    DV_TRY(dv_cedar_lex(&ahead, &next));
    if (next.kind == DV_CEDAR_TOKEN_PUNCTUATION &&
        (dv_slice_eq_str(next.text, ".") || dv_slice_eq_str(next.text, "["))) {
        return parse_member(parser, ret_node);
    }
    (*minuses)--;
    return parse_integer(parser, true, ret_node);
}

/* ['!' | '-']x4 Member: of one kind, as Cedar's own reader takes them. */
static dv_result parse_unary(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    const char *sign = dv_cedar_parser_at(parser, "!") ? "!" : "-";
    dv_cedar_kind kind = sign[0] == '!' ? DV_CEDAR_NODE_NOT : DV_CEDAR_NODE_NEGATE;
    size_t start = parser->token.offset;
    unsigned count = 0;
    bool more = false;

    for (;;) {
        DV_TRY(dv_cedar_parser_accept(parser, sign, &more));
        if (!more) {
            break;
        }
        if (++count > UNARY_MAX) {
            return dv_cedar_parser_error(parser, "at most four signs in a row");
        }
    }
    if (kind == DV_CEDAR_NODE_NEGATE) {
        DV_TRY(parse_negative(parser, &count, ret_node));
    } else {
        DV_TRY(parse_member(parser, ret_node));
    }
    for (; count > 0; count--) {
        dv_cedar_node operand = *ret_node;
        DV_TRY(node_over(parser, kind, &operand, 1, ret_node));
        dv_cedar_node_place(ret_node, start);
    }
    return DV_OK;
}

/* One operand, or several joined by one of the operators. */
static dv_result parse_chain(dv_cedar_parser *parser, dv_cedar_kind kind, const char *a,
                             const char *b,
                             dv_result (*parse)(dv_cedar_parser *parser, dv_cedar_node *ret_node),
                             dv_cedar_node *ret_node)
{
    dv_cedar_list nodes = {0}, operators = {0};
    uint8_t sign = 0;

    for (;;) {
        dv_cedar_node node;
        DV_TRY(parse(parser, &node));
        bool more = dv_cedar_parser_at(parser, a) || (b != NULL && dv_cedar_parser_at(parser, b));
        if (nodes.count == 0 && !more) {
            *ret_node = node;
            return DV_OK;
        }
        DV_TRY(list_add(parser, &nodes, &node));
        DV_TRY(dv_cedar_list_add(parser->arena, &operators, &sign, 1));
        if (!more) {
            break;
        }
        sign = parser->token.text.ptr[0];
        DV_TRY(dv_cedar_parser_advance(parser));
    }
    DV_TRY(placed(parser, dv_cedar_node_list(kind, &nodes, ret_node)));
    ret_node->operators = operators.items;
    return DV_OK;
}

/* Mult ::= Unary { '*' Unary } */
static dv_result parse_product(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    DV_TRY(parse_chain(parser, DV_CEDAR_NODE_PRODUCT, "*", NULL, parse_unary, ret_node));
    if (dv_cedar_parser_at(parser, "/") || dv_cedar_parser_at(parser, "%")) {
        return dv_cedar_parser_error(parser, "another operator: Cedar does not divide");
    }
    return DV_OK;
}

/* Add ::= Mult {('+' | '-') Mult} */
static dv_result parse_sum(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    return parse_chain(parser, DV_CEDAR_NODE_SUM, "+", "-", parse_product, ret_node);
}

/* 'has' IDENT {'.' IDENT} | 'has' STR, behind the word. */
static dv_result parse_has(dv_cedar_parser *parser, dv_cedar_node *node)
{
    dv_cedar_node object = *node;
    dv_cedar_list names = {0};
    bool path = parser->token.kind == DV_CEDAR_TOKEN_IDENT, more = false;

    do {
        dv_slice name = {0};
        if (names.count > 0 && parser->token.kind != DV_CEDAR_TOKEN_IDENT) {
            return dv_cedar_parser_error(parser, "an attribute's name");
        }
        DV_TRY(parse_name(parser, &name));
        DV_TRY(dv_cedar_list_add(parser->arena, &names, &name, sizeof(name)));
        if (path) {
            DV_TRY(dv_cedar_parser_accept(parser, ".", &more));
        }
    } while (more);
    DV_TRY(node_over(parser, DV_CEDAR_NODE_HAS, &object, 1, node));
    node->names = names.items;
    node->name_count = (uint32_t)names.count;
    return DV_OK;
}

/* 'like' PAT, behind the word. */
static dv_result parse_like(dv_cedar_parser *parser, dv_cedar_node *node)
{
    dv_cedar_node object = *node;
    const dv_slice *pieces = NULL;
    size_t count = 0;

    if (parser->token.kind != DV_CEDAR_TOKEN_STRING) {
        return dv_cedar_parser_error(parser, "a pattern in quotes");
    }
    DV_TRY(dv_cedar_unescape(&parser->lexer, &parser->token, true, parser->arena, &pieces, &count));
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(node_over(parser, DV_CEDAR_NODE_LIKE, &object, 1, node));
    node->names = pieces;
    node->name_count = (uint32_t)count;
    return DV_OK;
}

/* 'is' Path ['in' Add], behind the word. */
static dv_result parse_is(dv_cedar_parser *parser, dv_cedar_node *node)
{
    dv_cedar_node operands[2] = {*node};
    dv_slice type = {0}, uid = {0};
    bool in = false;

    DV_TRY(dv_cedar_parse_path(parser, &type, &uid));
    if (uid.len > 0) {
        return dv_cedar_parser_error(parser, "a type, not an entity, in front of this");
    }
    DV_TRY(dv_cedar_parser_accept(parser, "in", &in));
    if (in) {
        DV_TRY(parse_sum(parser, &operands[1]));
    }
    DV_TRY(node_over(parser, DV_CEDAR_NODE_IS, operands, in ? 2 : 1, node));
    node->name = type;
    return DV_OK;
}

/* RELOP, and the words that stand in its place. */
static bool relation_at(const dv_cedar_parser *parser, dv_cedar_kind *ret_kind)
{
    static const struct {
        const char *text;
        dv_cedar_kind kind;
    } relations[] = {
        {"==", DV_CEDAR_NODE_EQUAL},  {"!=", DV_CEDAR_NODE_UNEQUAL},
        {"<", DV_CEDAR_NODE_LESS},    {"<=", DV_CEDAR_NODE_LESS_EQUAL},
        {">", DV_CEDAR_NODE_GREATER}, {">=", DV_CEDAR_NODE_GREATER_EQUAL},
        {"in", DV_CEDAR_NODE_IN},     {"has", DV_CEDAR_NODE_HAS},
        {"like", DV_CEDAR_NODE_LIKE}, {"is", DV_CEDAR_NODE_IS},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(relations); i++) {
        if (dv_cedar_parser_at(parser, relations[i].text)) {
            *ret_kind = relations[i].kind;
            return true;
        }
    }
    return false;
}

static dv_result parse_compared(dv_cedar_parser *parser, dv_cedar_kind kind, dv_cedar_node *node)
{
    dv_cedar_node operands[2] = {*node};

    switch ((int)kind) {
    case DV_CEDAR_NODE_HAS:
        return parse_has(parser, node);
    case DV_CEDAR_NODE_LIKE:
        return parse_like(parser, node);
    case DV_CEDAR_NODE_IS:
        return parse_is(parser, node);
    default:
        DV_TRY(parse_sum(parser, &operands[1]));
        return node_over(parser, kind, operands, 2, node);
    }
}

/* Relation ::= Add [RELOP Add] | Add 'has' ... | Add 'like' PAT | Add 'is' Path ['in' Add] */
static dv_result parse_relation(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    dv_cedar_kind kind;

    DV_TRY(parse_sum(parser, ret_node));
    if (relation_at(parser, &kind)) {
        DV_TRY(dv_cedar_parser_advance(parser));
        DV_TRY(parse_compared(parser, kind, ret_node));
        if (relation_at(parser, &kind)) {
            return dv_cedar_parser_error(parser, "parentheses around one of two comparisons");
        }
    }
    if (dv_cedar_parser_at(parser, "=")) {
        return dv_cedar_parser_error(parser, "'=='");
    }
    return DV_OK;
}

/* And ::= Relation {'&&' Relation} */
static dv_result parse_and(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    return parse_chain(parser, DV_CEDAR_NODE_AND, "&&", NULL, parse_relation, ret_node);
}

/* Or ::= And {'||' And} */
static dv_result parse_or(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    return parse_chain(parser, DV_CEDAR_NODE_OR, "||", NULL, parse_and, ret_node);
}

/* 'if' Expr 'then' Expr 'else' Expr */
static dv_result parse_if(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    dv_cedar_node operands[3];
    size_t start = parser->token.offset;

    DV_TRY(dv_cedar_parser_expect(parser, "if"));
    DV_TRY(dv_cedar_parse_expression(parser, &operands[0]));
    DV_TRY(dv_cedar_parser_expect(parser, "then"));
    DV_TRY(dv_cedar_parse_expression(parser, &operands[1]));
    DV_TRY(dv_cedar_parser_expect(parser, "else"));
    DV_TRY(dv_cedar_parse_expression(parser, &operands[2]));
    DV_TRY(node_over(parser, DV_CEDAR_NODE_IF, operands, 3, ret_node));
    dv_cedar_node_place(ret_node, start);
    return DV_OK;
}

dv_result dv_cedar_parse_expression(dv_cedar_parser *parser, dv_cedar_node *ret_node)
{
    if (parser->depth >= DV_LIMIT_CEDAR_DEPTH) {
        return too_deep(parser);
    }
    parser->depth++;
    dv_result result =
        dv_cedar_parser_at(parser, "if") ? parse_if(parser, ret_node) : parse_or(parser, ret_node);
    parser->depth--;
    return result;
}
