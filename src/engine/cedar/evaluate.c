/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions (specs: syntax-operators). Recursion is as deep as the tree, which the reader has
 * bounded. Every node costs a step, and work that grows with the data costs more. */
#include "engine/cedar/evaluate.h"

#include "engine/cedar/function.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

enum { BYTES_PER_STEP = 64, UIDS_PER_STEP = 8 };

dv_result dv_cedar_step(dv_cedar_evaluation *evaluation, size_t steps)
{
    if (evaluation->steps < steps) {
        evaluation->steps = 0;
        return DV_ERR_TOO_LARGE;
    }
    evaluation->steps -= (uint32_t)steps;
    return DV_OK;
}

static dv_result evaluate_bool(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                               bool *ret_bool)
{
    dv_cedar_value value;

    DV_TRY(dv_cedar_evaluate(evaluation, node, &value));
    if (value.type != DV_CEDAR_BOOL) {
        return DV_ERR_INVALID;
    }
    *ret_bool = value.boolean;
    return DV_OK;
}

static dv_result evaluate_typed(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                dv_cedar_type type, dv_cedar_value *ret_value)
{
    DV_TRY(dv_cedar_evaluate(evaluation, node, ret_value));
    return ret_value->type == type ? DV_OK : DV_ERR_INVALID;
}

static dv_result evaluate_variable(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                   dv_cedar_value *ret_value)
{
    static const dv_cedar_value empty = {.type = DV_CEDAR_RECORD};
    const dv_cedar_value *context = evaluation->request->context;

    if (node->variable == DV_CEDAR_CONTEXT) {
        *ret_value = context == NULL ? empty : *context;
    } else {
        *ret_value = dv_cedar_entity_ref(evaluation->known[node->variable].uid);
    }
    return DV_OK;
}

/* && and ||: the first operand that decides ends it, and what stands behind is not looked at. */
static dv_result evaluate_logic(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                bool decides, dv_cedar_value *ret_value)
{
    bool boolean = false;

    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(evaluate_bool(evaluation, &node->operands[i], &boolean));
        if (boolean == decides) {
            break;
        }
    }
    *ret_value = dv_cedar_bool(boolean);
    return DV_OK;
}

/* if (specs: syntax-operators, operator-if) */
static dv_result evaluate_if(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                             dv_cedar_value *ret_value)
{
    bool condition = false;

    DV_TRY(evaluate_bool(evaluation, &node->operands[0], &condition));
    return dv_cedar_evaluate(evaluation, &node->operands[condition ? 1 : 2], ret_value);
}

/* Counts off what comparing the value with another takes at most, `times` times over. */
static dv_result weigh(dv_cedar_evaluation *evaluation, const dv_cedar_value *value, size_t times)
{
    bool text = value->type == DV_CEDAR_STRING || value->type == DV_CEDAR_ENTITY;

    DV_TRY(dv_cedar_step(evaluation, (text ? 1 + value->text.len / BYTES_PER_STEP : 1) * times));
    for (uint32_t i = 0; value->type == DV_CEDAR_SET && i < value->count; i++) {
        DV_TRY(weigh(evaluation, &value->items[i], times));
    }
    for (uint32_t i = 0; value->type == DV_CEDAR_RECORD && i < value->count; i++) {
        DV_TRY(weigh(evaluation, &value->attrs[i].value, times));
    }
    return DV_OK;
}

/* Comparisons that a search among so many takes. */
static size_t rounds(size_t count)
{
    size_t bits = 1;

    for (; count > 1; count /= 2) {
        bits++;
    }
    return bits;
}

static dv_result evaluate_pair(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                               dv_cedar_value pair[2])
{
    DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[0], &pair[0]));
    return dv_cedar_evaluate(evaluation, &node->operands[1], &pair[1]);
}

/* == and != (specs: syntax-operators, operator-equality, operator-inequality) */
static dv_result evaluate_equal(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                dv_cedar_value *ret_value)
{
    dv_cedar_value pair[2];

    DV_TRY(evaluate_pair(evaluation, node, pair));
    DV_TRY(weigh(evaluation, &pair[0], pair[0].type == pair[1].type));
    bool equal = dv_cedar_compare(&pair[0], &pair[1]) == 0;
    *ret_value = dv_cedar_bool(equal == (node->kind == DV_CEDAR_NODE_EQUAL));
    return DV_OK;
}

static bool is_ordered(dv_cedar_type type)
{
    return type == DV_CEDAR_LONG || type == DV_CEDAR_DATETIME || type == DV_CEDAR_DURATION;
}

/* <, <=, >, >=: of longs, datetimes and durations (specs: syntax-operators, operator-lessthan and
 * its like) */
static dv_result evaluate_order(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                dv_cedar_value *ret_value)
{
    dv_cedar_value pair[2];
    bool holds = false;

    DV_TRY(evaluate_pair(evaluation, node, pair));
    if (pair[0].type != pair[1].type || !is_ordered(pair[0].type)) {
        return DV_ERR_INVALID;
    }
    switch (node->kind) {
    case DV_CEDAR_NODE_LESS:
        holds = pair[0].number < pair[1].number;
        break;
    case DV_CEDAR_NODE_LESS_EQUAL:
        holds = pair[0].number <= pair[1].number;
        break;
    case DV_CEDAR_NODE_GREATER:
        holds = pair[0].number > pair[1].number;
        break;
    default:
        holds = pair[0].number >= pair[1].number;
        break;
    }
    *ret_value = dv_cedar_bool(holds);
    return DV_OK;
}

/* The entity behind a uid; zero when it is not known. */
static dv_cedar_entity find_entity(const dv_cedar_evaluation *evaluation, dv_slice uid)
{
    dv_cedar_entity entity = {0};

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        if (dv_slice_eq(evaluation->known[d].uid, uid)) {
            return evaluation->known[d].entity;
        }
    }
    if (!evaluation->lookup(evaluation->lookup_data, uid, &entity)) {
        return (dv_cedar_entity){0};
    }
    return entity;
}

static dv_result lies_in(dv_cedar_evaluation *evaluation, const dv_cedar_entity *entity,
                         dv_slice uid, dv_slice group, bool *ret_in)
{
    bool in = dv_slice_eq(uid, group);

    DV_TRY(dv_cedar_step(evaluation, entity->ancestor_count / UIDS_PER_STEP));
    for (size_t i = 0; i < entity->ancestor_count && !in; i++) {
        in = dv_slice_eq(entity->ancestors[i], group);
    }
    *ret_in = in;
    return DV_OK;
}

/* `in` of an entity and an entity or a set of them; all elements must be entities. */
static dv_result entity_in(dv_cedar_evaluation *evaluation, dv_slice uid,
                           const dv_cedar_value *groups, dv_cedar_value *ret_value)
{
    const dv_cedar_value *items = groups->type == DV_CEDAR_SET ? groups->items : groups;
    uint32_t count = groups->type == DV_CEDAR_SET ? groups->count : 1;
    bool in = false;

    DV_TRY(dv_cedar_step(evaluation, count));
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].type != DV_CEDAR_ENTITY) {
            return DV_ERR_INVALID;
        }
    }
    dv_cedar_entity entity = find_entity(evaluation, uid);
    for (uint32_t i = 0; i < count && !in; i++) {
        DV_TRY(lies_in(evaluation, &entity, uid, items[i].text, &in));
    }
    *ret_value = dv_cedar_bool(in);
    return DV_OK;
}

/* in (specs: syntax-operators, operator-in) */
static dv_result evaluate_in(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                             dv_cedar_value *ret_value)
{
    dv_cedar_value pair[2];

    DV_TRY(evaluate_pair(evaluation, node, pair));
    if (pair[0].type != DV_CEDAR_ENTITY) {
        return DV_ERR_INVALID;
    }
    return entity_in(evaluation, pair[0].text, &pair[1], ret_value);
}

/* `a is T in b` means `a is T && a in b`. */
static dv_result evaluate_is(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                             dv_cedar_value *ret_value)
{
    dv_cedar_value entity, groups;
    dv_slice type = {0};

    DV_TRY(evaluate_typed(evaluation, &node->operands[0], DV_CEDAR_ENTITY, &entity));
    DV_TRY(dv_cedar_uid_type(entity.text, &type));
    bool is = dv_slice_eq(type, node->name);
    if (is && node->count == 2) {
        DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[1], &groups));
        return entity_in(evaluation, entity.text, &groups, ret_value);
    }
    *ret_value = dv_cedar_bool(is);
    return DV_OK;
}

/* The attribute of a record or entity; NULL: it has none of that name. */
static dv_result find_attribute(const dv_cedar_evaluation *evaluation, const dv_cedar_value *object,
                                dv_slice name, const dv_cedar_value **ret_attribute)
{
    if (object->type == DV_CEDAR_ENTITY) {
        *ret_attribute = dv_cedar_get(find_entity(evaluation, object->text).attributes, name);
        return DV_OK;
    }
    if (object->type == DV_CEDAR_RECORD) {
        *ret_attribute = dv_cedar_get(object, name);
        return DV_OK;
    }
    return DV_ERR_INVALID;
}

/* . and [] (specs: syntax-operators) */
static dv_result evaluate_attribute(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                    dv_cedar_value *ret_value)
{
    dv_cedar_value object;
    const dv_cedar_value *attribute = NULL;

    DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[0], &object));
    DV_TRY(find_attribute(evaluation, &object, node->name, &attribute));
    if (attribute == NULL) {
        return DV_ERR_INVALID;
    }
    *ret_value = *attribute;
    return DV_OK;
}

/* `e has a.b` means `e has a && e.a has b`. */
static dv_result evaluate_has(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                              dv_cedar_value *ret_value)
{
    dv_cedar_value object;
    const dv_cedar_value *attribute = NULL;

    DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[0], &object));
    for (uint32_t i = 0; i < node->name_count; i++) {
        DV_TRY(find_attribute(evaluation, &object, node->names[i], &attribute));
        if (attribute == NULL) {
            break;
        }
        object = *attribute;
    }
    *ret_value = dv_cedar_bool(attribute != NULL);
    return DV_OK;
}

/* The first piece stands at the front, the last at the end, the others in order in between, each as
 * early as it can. */
static bool matches(dv_slice text, const dv_slice *pieces, uint32_t count)
{
    if (count == 1) {
        return dv_slice_eq(text, pieces[0]);
    }
    dv_slice first = pieces[0], last = pieces[count - 1];
    if (text.len < first.len + last.len || !dv_slice_starts_with(text, first) ||
        !dv_slice_ends_with(text, last)) {
        return false;
    }
    text = dv_slice_sub(text, first.len, text.len - first.len - last.len);
    for (uint32_t i = 1; i + 1 < count; i++) {
        ptrdiff_t at = dv_slice_find(text, pieces[i]);
        if (at < 0) {
            return false;
        }
        text = dv_slice_sub(text, (size_t)at + pieces[i].len, text.len);
    }
    return true;
}

/* like (specs: syntax-operators, operators-string-like) */
static dv_result evaluate_like(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                               dv_cedar_value *ret_value)
{
    dv_cedar_value text;

    DV_TRY(evaluate_typed(evaluation, &node->operands[0], DV_CEDAR_STRING, &text));
    DV_TRY(dv_cedar_step(evaluation, text.text.len / BYTES_PER_STEP + node->name_count));
    *ret_value = dv_cedar_bool(matches(text.text, node->names, node->name_count));
    return DV_OK;
}

static bool overflows(uint8_t operator, int64_t a, int64_t b, int64_t *ret_result)
{
    switch (operator) {
    case '+':
        return __builtin_add_overflow(a, b, ret_result);
    case '-':
        return __builtin_sub_overflow(a, b, ret_result);
    default:
        return __builtin_mul_overflow(a, b, ret_result);
    }
}

/* +, - and *; what does not fit 64 bits is an error (specs: syntax-operators, operator-add and its
 * like) */
static dv_result evaluate_arithmetic(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                     dv_cedar_value *ret_value)
{
    dv_cedar_value operand;
    int64_t result = 0;

    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(evaluate_typed(evaluation, &node->operands[i], DV_CEDAR_LONG, &operand));
        if (i == 0) {
            result = operand.number;
        } else if (overflows(node->operators[i], result, operand.number, &result)) {
            return DV_ERR_INVALID;
        }
    }
    *ret_value = dv_cedar_long(result);
    return DV_OK;
}

/* - with one operand */
static dv_result evaluate_negate(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                 dv_cedar_value *ret_value)
{
    dv_cedar_value operand;
    int64_t result = 0;

    DV_TRY(evaluate_typed(evaluation, &node->operands[0], DV_CEDAR_LONG, &operand));
    if (__builtin_sub_overflow(INT64_C(0), operand.number, &result)) {
        return DV_ERR_INVALID;
    }
    *ret_value = dv_cedar_long(result);
    return DV_OK;
}

/* ! (specs: syntax-operators, operator-not) */
static dv_result evaluate_not(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                              dv_cedar_value *ret_value)
{
    bool boolean = false;

    DV_TRY(evaluate_bool(evaluation, &node->operands[0], &boolean));
    *ret_value = dv_cedar_bool(!boolean);
    return DV_OK;
}

static dv_result evaluate_set(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                              dv_cedar_value *ret_value)
{
    dv_cedar_value *items = dv_arena_alloc_raw(evaluation->arena, node->count * sizeof(*items));

    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[i], &items[i]));
        DV_TRY(weigh(evaluation, &items[i], rounds(node->count)));
    }
    *ret_value = dv_cedar_set(items, node->count);
    return DV_OK;
}

static dv_result evaluate_record(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                 dv_cedar_value *ret_value)
{
    dv_cedar_attr *attrs =
        dv_arena_alloc_raw(evaluation->arena, (node->count + 1) * sizeof(*attrs));

    if (attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        attrs[i].name = node->names[i];
        DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[i], &attrs[i].value));
    }
    *ret_value = (dv_cedar_value){.type = DV_CEDAR_RECORD, .count = node->count, .attrs = attrs};
    return DV_OK;
}

static dv_result evaluate_call(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                               dv_cedar_value *ret_value)
{
    dv_cedar_value args[DV_CEDAR_ARGS_MAX];

    if (node->count != node->function->arity) {
        return DV_ERR_INVALID;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(dv_cedar_evaluate(evaluation, &node->operands[i], &args[i]));
    }
    return node->function->run(evaluation, args, ret_value);
}

dv_result dv_cedar_evaluate(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                            dv_cedar_value *ret_value)
{
    DV_TRY(dv_cedar_step(evaluation, 1));
    switch ((dv_cedar_kind)node->kind) {
    case DV_CEDAR_NODE_VALUE:
        *ret_value = *node->value;
        return DV_OK;
    case DV_CEDAR_NODE_VARIABLE:
        return evaluate_variable(evaluation, node, ret_value);
    case DV_CEDAR_NODE_NOT:
        return evaluate_not(evaluation, node, ret_value);
    case DV_CEDAR_NODE_NEGATE:
        return evaluate_negate(evaluation, node, ret_value);
    case DV_CEDAR_NODE_AND:
        return evaluate_logic(evaluation, node, false, ret_value);
    case DV_CEDAR_NODE_OR:
        return evaluate_logic(evaluation, node, true, ret_value);
    case DV_CEDAR_NODE_IF:
        return evaluate_if(evaluation, node, ret_value);
    case DV_CEDAR_NODE_EQUAL:
    case DV_CEDAR_NODE_UNEQUAL:
        return evaluate_equal(evaluation, node, ret_value);
    case DV_CEDAR_NODE_LESS:
    case DV_CEDAR_NODE_LESS_EQUAL:
    case DV_CEDAR_NODE_GREATER:
    case DV_CEDAR_NODE_GREATER_EQUAL:
        return evaluate_order(evaluation, node, ret_value);
    case DV_CEDAR_NODE_IN:
        return evaluate_in(evaluation, node, ret_value);
    case DV_CEDAR_NODE_IS:
        return evaluate_is(evaluation, node, ret_value);
    case DV_CEDAR_NODE_HAS:
        return evaluate_has(evaluation, node, ret_value);
    case DV_CEDAR_NODE_LIKE:
        return evaluate_like(evaluation, node, ret_value);
    case DV_CEDAR_NODE_SUM:
    case DV_CEDAR_NODE_PRODUCT:
        return evaluate_arithmetic(evaluation, node, ret_value);
    case DV_CEDAR_NODE_ATTRIBUTE:
        return evaluate_attribute(evaluation, node, ret_value);
    case DV_CEDAR_NODE_CALL:
        return evaluate_call(evaluation, node, ret_value);
    case DV_CEDAR_NODE_SET:
        return evaluate_set(evaluation, node, ret_value);
    case DV_CEDAR_NODE_RECORD:
        return evaluate_record(evaluation, node, ret_value);
    }
    return DV_ERR_INTERNAL;
}

static bool set_has(const dv_cedar_value *set, const dv_cedar_value *value)
{
    uint32_t low = 0, high = set->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = dv_cedar_compare(&set->items[middle], value);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* .contains() (specs: syntax-operators) */
dv_result dv_cedar_run_contains(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                                dv_cedar_value *ret_value)
{
    if (args[0].type != DV_CEDAR_SET) {
        return DV_ERR_INVALID;
    }
    DV_TRY(weigh(evaluation, &args[1], rounds(args[0].count)));
    *ret_value = dv_cedar_bool(set_has(&args[0], &args[1]));
    return DV_OK;
}

/* True when one of the second set's elements is in the first (wanted) or is not (not wanted). */
static dv_result find_element(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                              bool wanted, bool *ret_found)
{
    bool found = false;

    if (args[0].type != DV_CEDAR_SET || args[1].type != DV_CEDAR_SET) {
        return DV_ERR_INVALID;
    }
    for (uint32_t i = 0; i < args[1].count && !found; i++) {
        DV_TRY(weigh(evaluation, &args[1].items[i], rounds(args[0].count)));
        found = set_has(&args[0], &args[1].items[i]) == wanted;
    }
    *ret_found = found;
    return DV_OK;
}

/* .containsAll() (specs: syntax-operators) */
dv_result dv_cedar_run_contains_all(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                                    dv_cedar_value *ret_value)
{
    bool missing = false;

    DV_TRY(find_element(evaluation, args, false, &missing));
    *ret_value = dv_cedar_bool(!missing);
    return DV_OK;
}

/* .containsAny() (specs: syntax-operators) */
dv_result dv_cedar_run_contains_any(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                                    dv_cedar_value *ret_value)
{
    bool found = false;

    DV_TRY(find_element(evaluation, args, true, &found));
    *ret_value = dv_cedar_bool(found);
    return DV_OK;
}

/* .isEmpty() (specs: syntax-operators) */
dv_result dv_cedar_run_is_empty(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                                dv_cedar_value *ret_value)
{
    if (args[0].type != DV_CEDAR_SET) {
        return DV_ERR_INVALID;
    }
    *ret_value = dv_cedar_bool(args[0].count == 0);
    return DV_OK;
}

static dv_result find_tag(const dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                          const dv_cedar_value **ret_tag)
{
    if (args[0].type != DV_CEDAR_ENTITY || args[1].type != DV_CEDAR_STRING) {
        return DV_ERR_INVALID;
    }
    *ret_tag = dv_cedar_get(find_entity(evaluation, args[0].text).tags, args[1].text);
    return DV_OK;
}

/* .hasTag() (specs: syntax-operators) */
dv_result dv_cedar_run_has_tag(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                               dv_cedar_value *ret_value)
{
    const dv_cedar_value *tag = NULL;

    DV_TRY(find_tag(evaluation, args, &tag));
    *ret_value = dv_cedar_bool(tag != NULL);
    return DV_OK;
}

/* .getTag(): a tag that is not there is an error (specs: syntax-operators) */
dv_result dv_cedar_run_get_tag(dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                               dv_cedar_value *ret_value)
{
    const dv_cedar_value *tag = NULL;

    DV_TRY(find_tag(evaluation, args, &tag));
    if (tag == NULL) {
        return DV_ERR_INVALID;
    }
    *ret_value = *tag;
    return DV_OK;
}
