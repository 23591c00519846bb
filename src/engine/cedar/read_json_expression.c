/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions from JSON (specs: json-format). Recursion ends at DV_LIMIT_CEDAR_DEPTH; operators
 * that nest to the left, as lists of operands do in JSON, are followed without it. */
#include "engine/cedar/function.h"
#include "engine/cedar/node.h"
#include "engine/cedar/policy_reader.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

/* The limit of a tree's depth, with its place. */
static dv_result placed(const dv_cedar_reader *r, uint32_t token, dv_result result)
{
    return result == DV_ERR_TOO_LARGE
               ? dv_cedar_reader_refuse(r, token, "expressions may be %d levels deep",
                                        DV_LIMIT_CEDAR_DEPTH)
               : result;
}

static dv_result enter(dv_cedar_reader *r, uint32_t token)
{
    if (r->depth >= DV_LIMIT_CEDAR_DEPTH) {
        return placed(r, token, DV_ERR_TOO_LARGE);
    }
    r->depth++;
    return DV_OK;
}

typedef dv_result (*read_function)(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node);

/* Each element of an array. */
static dv_result read_nodes(dv_cedar_reader *r, uint32_t array, read_function read,
                            dv_cedar_list *list)
{
    DV_TRY(dv_cedar_policy_reader_want(r, array, DV_JSON_ARRAY, "a list"));
    for (uint32_t i = array + 1; i < dv_cedar_reader_next(r, array);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_node node = {0};
        DV_TRY(read(r, i, &node));
        DV_TRY(dv_cedar_list_add(r->arena, list, &node, sizeof(node)));
    }
    return DV_OK;
}

static dv_result read_set(dv_cedar_reader *r, uint32_t array, read_function read,
                          dv_cedar_node *ret_node)
{
    dv_cedar_list items = {0};

    DV_TRY(read_nodes(r, array, read, &items));
    return placed(r, array, dv_cedar_node_set(r->arena, &items, ret_node));
}

static dv_result read_record(dv_cedar_reader *r, uint32_t object, read_function read,
                             dv_cedar_node *ret_node)
{
    dv_cedar_list fields = {0};
    dv_slice twice = {0};

    DV_TRY(dv_cedar_policy_reader_want(r, object, DV_JSON_OBJECT, "an object"));
    for (uint32_t i = object + 1; i < dv_cedar_reader_next(r, object);
         i = dv_cedar_reader_next(r, i)) {
        dv_cedar_field field = {0};
        DV_TRY(dv_json_string(&r->json, i, r->arena, &field.name));
        DV_TRY(read(r, i + 1, &field.node));
        DV_TRY(dv_cedar_list_add(r->arena, &fields, &field, sizeof(field)));
    }
    return placed(r, object, dv_cedar_node_record(r->arena, &fields, ret_node, &twice));
}

static dv_result read_value(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node);

static const dv_cedar_function *find_extension(dv_slice name)
{
    const dv_cedar_function *function = dv_cedar_function_find(name);

    return function != NULL && function->pure ? function : NULL;
}

/* __extn: {"fn": ..., "arg": ...} or {"fn": ..., "args": [...]} */
static dv_result read_extension(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"fn", "arg", "args", NULL};
    uint32_t members[3];
    dv_cedar_list args = {0};
    dv_cedar_node one = {0};
    dv_slice name = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 1, members));
    DV_TRY(dv_cedar_reader_text(r, members[0], &name));
    const dv_cedar_function *function = find_extension(name);
    if (function == NULL || (members[1] == 0) == (members[2] == 0)) {
        return dv_cedar_reader_refuse(r, token,
                                      "an extension value has fn, a function of Cedar's, and arg");
    }
    if (members[1] != 0) {
        DV_TRY(read_value(r, members[1], &one));
        DV_TRY(dv_cedar_list_add(r->arena, &args, &one, sizeof(one)));
    } else {
        DV_TRY(read_nodes(r, members[2], read_value, &args));
    }
    return placed(r, token, dv_cedar_node_call(r->arena, function, &args, ret_node));
}

/* An escape stands alone in its object; one among other members is a mistake, not a record. */
static dv_result read_value_object(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const extension[] = {"__extn", NULL};
    uint32_t inner = 0;
    dv_slice uid = {0};

    if (dv_json_member(&r->json, token, "__expr") != 0) {
        return dv_cedar_reader_refuse(r, token, "__expr is not supported");
    }
    if (dv_json_member(&r->json, token, "__entity") != 0) {
        DV_TRY(dv_cedar_policy_reader_uid(r, token, &uid));
        return dv_cedar_node_value(r->arena, dv_cedar_entity_ref(uid), ret_node);
    }
    if (dv_json_member(&r->json, token, "__extn") != 0) {
        DV_TRY(dv_cedar_policy_reader_members(r, token, extension, 1, &inner));
        return read_extension(r, inner, ret_node);
    }
    return read_record(r, token, read_value, ret_node);
}

static dv_result read_number(const dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    int64_t number = 0;

    if (dv_json_int(&r->json, token, &number) != DV_OK) {
        return dv_cedar_reader_refuse(r, token, "numbers are whole and fit 64 bits");
    }
    return dv_cedar_node_value(r->arena, dv_cedar_long(number), ret_node);
}

static dv_result read_value_inside(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    dv_slice text = {0};

    switch ((dv_json_type)r->json.tokens[token].type) {
    case DV_JSON_OBJECT:
        return read_value_object(r, token, ret_node);
    case DV_JSON_ARRAY:
        return read_set(r, token, read_value, ret_node);
    case DV_JSON_STRING:
        DV_TRY(dv_cedar_reader_text(r, token, &text));
        return dv_cedar_node_value(r->arena, dv_cedar_string(text), ret_node);
    case DV_JSON_NUMBER:
        return read_number(r, token, ret_node);
    case DV_JSON_TRUE:
    case DV_JSON_FALSE:
        return dv_cedar_node_value(
            r->arena, dv_cedar_bool(dv_cedar_reader_is(r, token, DV_JSON_TRUE)), ret_node);
    case DV_JSON_NULL:
    case DV_JSON_KEY:
        break;
    }
    return dv_cedar_reader_refuse(r, token, "Cedar has no null");
}

/* Value: as in entities, but kept as what was written (specs: entities-syntax). */
static dv_result read_value(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    DV_TRY(enter(r, token));
    dv_result result = read_value_inside(r, token, ret_node);
    r->depth--;
    if (result == DV_OK) {
        dv_cedar_node_place(ret_node, r->json.tokens[token].start);
    }
    return result;
}

/* Var */
static dv_result read_variable(const dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"principal", "action", "resource", "context"};
    dv_slice name = {0};

    DV_TRY(dv_cedar_reader_text(r, token, &name));
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_str(name, names[i])) {
            *ret_node = (dv_cedar_node){
                .kind = DV_CEDAR_NODE_VARIABLE, .depth = 1, .variable = (dv_cedar_variable)i};
            return DV_OK;
        }
    }
    return dv_cedar_reader_refuse(r, token, "there are principal, action, resource, context");
}

/* {"arg": ...} of !, neg and isEmpty; {"left": ..., "right": ...} */
static dv_result read_operands(dv_cedar_reader *r, uint32_t token, bool two,
                               dv_cedar_list *operands)
{
    static const char *const unary[] = {"arg", NULL}, *const binary[] = {"left", "right", NULL};
    uint32_t members[2];

    DV_TRY(dv_cedar_policy_reader_members(r, token, two ? binary : unary, two ? 2 : 1, members));
    for (size_t i = 0; i < (two ? 2 : 1); i++) {
        dv_cedar_node node = {0};
        DV_TRY(dv_cedar_policy_reader_expression(r, members[i], &node));
        DV_TRY(dv_cedar_list_add(r->arena, operands, &node, sizeof(node)));
    }
    return DV_OK;
}

typedef struct operation {
    const char *key;
    dv_cedar_kind kind;
} operation;

static const operation *find_operation(const operation *operations, size_t count, dv_slice key)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_str(key, operations[i].key)) {
            return &operations[i];
        }
    }
    return NULL;
}

static const operation *find_chain(dv_slice key)
{
    static const operation chains[] = {{"&&", DV_CEDAR_NODE_AND},
                                       {"||", DV_CEDAR_NODE_OR},
                                       {"+", DV_CEDAR_NODE_SUM},
                                       {"-", DV_CEDAR_NODE_SUM},
                                       {"*", DV_CEDAR_NODE_PRODUCT}};

    return find_operation(chains, DV_ARRAY_LEN(chains), key);
}

/* The one member of an expression. */
static dv_result read_key(const dv_cedar_reader *r, uint32_t token, dv_slice *ret_key,
                          uint32_t *ret_value)
{
    DV_TRY(dv_cedar_policy_reader_want(r, token, DV_JSON_OBJECT,
                                       "an expression, an object with one member,"));
    if (dv_cedar_reader_next(r, token) == token + 1 ||
        dv_cedar_reader_next(r, token + 1) != dv_cedar_reader_next(r, token)) {
        return dv_cedar_reader_refuse(r, token, "an expression has one member");
    }
    DV_TRY(dv_json_string(&r->json, token + 1, r->arena, ret_key));
    *ret_value = token + 2;
    return DV_OK;
}

/* One operator of a chain, as it is met from the outermost in. */
typedef struct joint {
    uint32_t right;
    uint8_t sign;
} joint;

/* Follows operators of that kind down the left side; ret_first is what stands leftmost. */
static dv_result follow_chain(const dv_cedar_reader *r, uint32_t token, dv_cedar_kind kind,
                              dv_cedar_list *links, uint32_t *ret_first)
{
    static const char *const names[] = {"left", "right", NULL};

    for (;;) {
        uint32_t members[2], value = 0;
        dv_slice key = {0};
        DV_TRY(read_key(r, token, &key, &value));
        const operation *chain = find_chain(key);
        if (chain == NULL || chain->kind != kind) {
            *ret_first = token;
            return DV_OK;
        }
        DV_TRY(dv_cedar_policy_reader_members(r, value, names, 2, members));
        joint one = {members[1], key.ptr[0]};
        DV_TRY(dv_cedar_list_add(r->arena, links, &one, sizeof(one)));
        token = members[0];
    }
}

/* &&, ||, +, -, * */
static dv_result read_chain(dv_cedar_reader *r, uint32_t token, dv_cedar_kind kind,
                            dv_cedar_node *ret_node)
{
    dv_cedar_list links = {0}, nodes = {0};
    uint32_t first = 0;

    DV_TRY(follow_chain(r, token, kind, &links, &first));
    uint8_t *signs = dv_arena_alloc(r->arena, links.count + 1);
    if (signs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i <= links.count; i++) {
        const joint *one = (const joint *)links.items + (links.count - i);
        dv_cedar_node node = {0};
        DV_TRY(dv_cedar_policy_reader_expression(r, i == 0 ? first : one->right, &node));
        DV_TRY(dv_cedar_list_add(r->arena, &nodes, &node, sizeof(node)));
        signs[i] = i == 0 ? 0 : one->sign;
    }
    DV_TRY(placed(r, token, dv_cedar_node_list(kind, &nodes, ret_node)));
    ret_node->operators = signs;
    return DV_OK;
}

/* `.` and the left side of has, like and is: one node over `left`. */
static dv_result read_left(dv_cedar_reader *r, uint32_t token, uint32_t left, dv_cedar_kind kind,
                           dv_cedar_node *ret_node)
{
    dv_cedar_node object = {0};

    DV_TRY(dv_cedar_policy_reader_expression(r, left, &object));
    return placed(r, token, dv_cedar_node_over(r->arena, kind, &object, 1, ret_node));
}

/* `.` */
static dv_result read_attribute(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"left", "attr", NULL};
    uint32_t members[2];
    dv_slice name = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 2, members));
    DV_TRY(dv_cedar_reader_text(r, members[1], &name));
    DV_TRY(read_left(r, token, members[0], DV_CEDAR_NODE_ATTRIBUTE, ret_node));
    ret_node->name = name;
    return DV_OK;
}

/* A string, or a list of identifiers, at least one. */
static dv_result read_path(const dv_cedar_reader *r, uint32_t token, dv_cedar_list *names)
{
    dv_slice name = {0};

    if (dv_cedar_reader_is(r, token, DV_JSON_STRING)) {
        DV_TRY(dv_cedar_reader_text(r, token, &name));
        return dv_cedar_list_add(r->arena, names, &name, sizeof(name));
    }
    DV_TRY(
        dv_cedar_policy_reader_want(r, token, DV_JSON_ARRAY, "a string or a list of identifiers"));
    bool alone = dv_cedar_reader_next(r, token) <= token + 2;
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(r, token);
         i = dv_cedar_reader_next(r, i)) {
        DV_TRY(dv_cedar_reader_text(r, i, &name));
        if (!alone && !dv_cedar_ident_valid(name)) {
            return dv_cedar_reader_refuse(r, i, "the names of a path are identifiers");
        }
        DV_TRY(dv_cedar_list_add(r->arena, names, &name, sizeof(name)));
    }
    return names->count > 0 ? DV_OK
                            : dv_cedar_reader_refuse(r, token, "a path has at least one name");
}

/* has */
static dv_result read_has(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const members_of[] = {"left", "attr", NULL};
    uint32_t members[2];
    dv_cedar_list names = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, members_of, 2, members));
    DV_TRY(read_path(r, members[1], &names));
    DV_TRY(read_left(r, token, members[0], DV_CEDAR_NODE_HAS, ret_node));
    ret_node->names = names.items;
    ret_node->name_count = (uint32_t)names.count;
    return DV_OK;
}

/* One element of a pattern: "Wildcard" ends a piece, {"Literal": ...} adds to it. */
static dv_result read_pattern_part(const dv_cedar_reader *r, uint32_t token, dv_slice *piece,
                                   dv_cedar_list *pieces)
{
    static const char *const names[] = {"Literal", NULL};
    uint32_t literal = 0;
    dv_slice text = {0};

    if (dv_cedar_reader_is(r, token, DV_JSON_STRING)) {
        DV_TRY(dv_cedar_reader_text(r, token, &text));
        if (!dv_slice_eq_str(text, "Wildcard")) {
            return dv_cedar_reader_refuse(r, token, "a pattern has Wildcard and Literal");
        }
        DV_TRY(dv_cedar_list_add(r->arena, pieces, piece, sizeof(*piece)));
        *piece = (dv_slice){0};
        return DV_OK;
    }
    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 1, &literal));
    DV_TRY(dv_cedar_reader_text(r, literal, &text));
    const dv_slice both[] = {*piece, text};
    return dv_arena_concat(r->arena, both, 2, piece);
}

/* like */
static dv_result read_like(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"left", "pattern", NULL};
    uint32_t members[2];
    dv_cedar_list pieces = {0};
    dv_slice piece = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 2, members));
    DV_TRY(dv_cedar_policy_reader_want(r, members[1], DV_JSON_ARRAY, "a list"));
    for (uint32_t i = members[1] + 1; i < dv_cedar_reader_next(r, members[1]);
         i = dv_cedar_reader_next(r, i)) {
        DV_TRY(read_pattern_part(r, i, &piece, &pieces));
    }
    DV_TRY(dv_cedar_list_add(r->arena, &pieces, &piece, sizeof(piece)));
    DV_TRY(read_left(r, token, members[0], DV_CEDAR_NODE_LIKE, ret_node));
    ret_node->names = pieces.items;
    ret_node->name_count = (uint32_t)pieces.count;
    return DV_OK;
}

/* is */
static dv_result read_is(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"left", "entity_type", "in", NULL};
    uint32_t members[3];
    dv_cedar_node operands[2] = {0};
    dv_slice type = {0};
    uint32_t count = 1;

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 2, members));
    DV_TRY(dv_cedar_policy_reader_type(r, members[1], &type));
    DV_TRY(dv_cedar_policy_reader_expression(r, members[0], &operands[0]));
    if (members[2] != 0) {
        DV_TRY(dv_cedar_policy_reader_expression(r, members[2], &operands[count++]));
    }
    DV_TRY(placed(r, token,
                  dv_cedar_node_over(r->arena, DV_CEDAR_NODE_IS, operands, count, ret_node)));
    ret_node->name = type;
    return DV_OK;
}

/* if-then-else */
static dv_result read_if(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    static const char *const names[] = {"if", "then", "else", NULL};
    uint32_t members[3];
    dv_cedar_node operands[3] = {0};

    DV_TRY(dv_cedar_policy_reader_members(r, token, names, 3, members));
    for (size_t i = 0; i < DV_ARRAY_LEN(operands); i++) {
        DV_TRY(dv_cedar_policy_reader_expression(r, members[i], &operands[i]));
    }
    return placed(r, token, dv_cedar_node_over(r->arena, DV_CEDAR_NODE_IF, operands, 3, ret_node));
}

/* Methods with operands, and "any other key": the name of a function with its arguments. */
static dv_result read_call(dv_cedar_reader *r, uint32_t token, dv_slice key,
                           dv_cedar_node *ret_node)
{
    const dv_cedar_function *function = dv_cedar_function_find(key);
    dv_cedar_list args = {0};

    if (function == NULL) {
        return dv_cedar_reader_refuse(r, token - 1, "there is no such operator or function");
    }
    if (function->pure) {
        DV_TRY(read_nodes(r, token, dv_cedar_policy_reader_expression, &args));
    } else {
        DV_TRY(read_operands(r, token, function->arity == 2, &args));
    }
    return placed(r, token, dv_cedar_node_call(r->arena, function, &args, ret_node));
}

/* Operators of one or two operands, but those of chains. */
static dv_result read_operation(dv_cedar_reader *r, uint32_t token, const operation *found,
                                dv_cedar_node *ret_node)
{
    bool two = found->kind != DV_CEDAR_NODE_NOT && found->kind != DV_CEDAR_NODE_NEGATE;
    dv_cedar_list operands = {0};

    DV_TRY(read_operands(r, token, two, &operands));
    return placed(r, token, dv_cedar_node_list(found->kind, &operands, ret_node));
}

static const operation *find_plain(dv_slice key)
{
    static const operation plain[] = {
        {"!", DV_CEDAR_NODE_NOT},     {"neg", DV_CEDAR_NODE_NEGATE},
        {"==", DV_CEDAR_NODE_EQUAL},  {"!=", DV_CEDAR_NODE_UNEQUAL},
        {"<", DV_CEDAR_NODE_LESS},    {"<=", DV_CEDAR_NODE_LESS_EQUAL},
        {">", DV_CEDAR_NODE_GREATER}, {">=", DV_CEDAR_NODE_GREATER_EQUAL},
        {"in", DV_CEDAR_NODE_IN},
    };

    return find_operation(plain, DV_ARRAY_LEN(plain), key);
}

/* Kinds with a shape of their own. */
static read_function find_shape(dv_slice key)
{
    static const struct {
        const char *key;
        read_function read;
    } shapes[] = {{"Value", read_value_inside}, {".", read_attribute}, {"has", read_has},
                  {"like", read_like},          {"is", read_is},       {"if-then-else", read_if}};

    for (size_t i = 0; i < DV_ARRAY_LEN(shapes); i++) {
        if (dv_slice_eq_str(key, shapes[i].key)) {
            return shapes[i].read;
        }
    }
    return NULL;
}

static dv_result read_expression_inside(dv_cedar_reader *r, uint32_t token, dv_cedar_node *ret_node)
{
    dv_slice key = {0};
    uint32_t value = 0;

    DV_TRY(read_key(r, token, &key, &value));
    const operation *chain = find_chain(key), *plain = find_plain(key);
    read_function shape = find_shape(key);
    if (chain != NULL) {
        return read_chain(r, token, chain->kind, ret_node);
    }
    if (plain != NULL) {
        return read_operation(r, value, plain, ret_node);
    }
    if (shape != NULL) {
        return shape(r, value, ret_node);
    }
    if (dv_slice_eq_str(key, "Var")) {
        return read_variable(r, value, ret_node);
    }
    if (dv_slice_eq_str(key, "Set")) {
        return read_set(r, value, dv_cedar_policy_reader_expression, ret_node);
    }
    if (dv_slice_eq_str(key, "Record")) {
        return read_record(r, value, dv_cedar_policy_reader_expression, ret_node);
    }
    if (dv_slice_eq_str(key, "Slot")) {
        return dv_cedar_reader_refuse(r, value, "a template's slot stands in its scope only");
    }
    return read_call(r, value, key, ret_node);
}

/* JsonExpr */
dv_result dv_cedar_policy_reader_expression(dv_cedar_reader *r, uint32_t token,
                                            dv_cedar_node *ret_node)
{
    DV_TRY(enter(r, token));
    dv_result result = read_expression_inside(r, token, ret_node);
    r->depth--;
    if (result == DV_OK) {
        dv_cedar_node_place(ret_node, r->json.tokens[token].start);
    }
    return result;
}
