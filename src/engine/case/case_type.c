/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/case/case_type.h"

#include "base/yaml.h"

/* --- words ----------------------------------------------------------------------------------- */

typedef struct word {
    const char *name;
    uint32_t value;
} word;

static const word WHO[] = {
    {"owner", DV_CASE_OWNER}, {"assignee", DV_CASE_ASSIGNEE}, {"manager", DV_CASE_MANAGER},
    {"clock", DV_CASE_CLOCK}, {"subject", DV_CASE_SUBJECT},
};
static const word CASE_WHEN[] = {{"deadline", DV_CASE_DEADLINE}, {"decided", DV_CASE_DECIDED}};
static const word ITEM_WHEN[] = {{"gone", DV_CASE_GONE}};

static dv_result word_read(const dv_yaml *node, const word words[], size_t count,
                           uint32_t *ret_value, dv_error *error)
{
    const char *text;
    DV_TRY(dv_yaml_string(node, &text, error));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].name, text) == 0) {
            *ret_value = words[i].value;
            return DV_OK;
        }
    }
    return dv_yaml_refuse(node, error, "\"%s\" is not understood here", text);
}

static bool is_id(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return text[0] >= 'a' && text[0] <= 'z' && len < DV_LIMIT_CASE_WORD && text[len] == '\0';
}

static dv_result id_check(const dv_yaml *node, const char *text, dv_error *error)
{
    return is_id(text) ? DV_OK
                       : dv_yaml_refuse(node, error,
                                        "a name begins with a-z and goes on with up to %d of a-z "
                                        "0-9 _",
                                        DV_LIMIT_CASE_WORD - 1);
}

static dv_result id_read(const dv_yaml *node, const char **ret_text, dv_error *error)
{
    const char *text;
    DV_TRY(dv_yaml_string(node, &text, error));
    DV_TRY(id_check(node, text, error));
    *ret_text = text;
    return DV_OK;
}

static dv_result member(const dv_yaml *map, const char *key, const dv_yaml **ret_node,
                        dv_error *error)
{
    *ret_node = dv_yaml_get(map, key);
    return *ret_node == NULL ? dv_yaml_refuse(map, error, "%s is missing", key) : DV_OK;
}

static dv_result list_check(const dv_yaml *node, dv_error *error)
{
    return node->type == DV_YAML_LIST && node->first != NULL
               ? DV_OK
               : dv_yaml_refuse(node, error, "wants a list that is not empty");
}

/* --- states ---------------------------------------------------------------------------------- */

static bool state_find(const dv_case_machine *machine, const char *name, uint32_t *ret_state)
{
    for (size_t i = 0; i < machine->state_count; i++) {
        if (strcmp(machine->states[i], name) == 0) {
            *ret_state = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static dv_result states_read(const dv_yaml *list, dv_case_machine *machine, dv_error *error)
{
    DV_TRY(list_check(list, error));
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        const char *name;
        uint32_t known;
        DV_TRY(id_read(node, &name, error));
        if (state_find(machine, name, &known)) {
            return dv_yaml_refuse(node, error, "the state %s stands twice", name);
        }
        if (machine->state_count == DV_LIMIT_CASE_STATES) {
            return dv_error_set_at(error, DV_ERR_TOO_LARGE, node->line, node->column,
                                   "more than %d states", DV_LIMIT_CASE_STATES);
        }
        machine->states[machine->state_count++] = name;
    }
    return DV_OK;
}

static dv_result state_read(const dv_case_machine *machine, const dv_yaml *node,
                            uint32_t *ret_state, dv_error *error)
{
    const char *name;
    DV_TRY(dv_yaml_string(node, &name, error));
    return state_find(machine, name, ret_state)
               ? DV_OK
               : dv_yaml_refuse(node, error, "there is no state %s", name);
}

static dv_result from_read(const dv_case_machine *machine, const dv_yaml *list, uint32_t *ret_from,
                           dv_error *error)
{
    uint32_t from = 0;
    DV_TRY(list_check(list, error));
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        uint32_t state;
        DV_TRY(state_read(machine, node, &state, error));
        from |= 1U << state;
    }
    *ret_from = from;
    return DV_OK;
}

/* --- steps ----------------------------------------------------------------------------------- */

static dv_result who_read(const dv_yaml *list, uint32_t *ret_who, dv_error *error)
{
    uint32_t who = 0;
    if (list == NULL) {
        return DV_OK;
    }
    DV_TRY(list_check(list, error));
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        uint32_t bit;
        DV_TRY(word_read(node, WHO, DV_ARRAY_LEN(WHO), &bit, error));
        who |= bit;
    }
    *ret_who = who;
    return DV_OK;
}

static dv_result flag_read(const dv_yaml *map, const char *key, bool *ret_flag, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_bool(node, ret_flag, error);
}

/* A step is asked for by somebody or brought about by the clock: one of `who` and `when`. */
static dv_result step_who_read(const dv_yaml *map, bool items, dv_case_step *step, dv_error *error)
{
    const dv_yaml *when = dv_yaml_get(map, "when");
    DV_TRY(who_read(dv_yaml_get(map, "who"), &step->who, error));
    DV_TRY(who_read(dv_yaml_get(map, "never"), &step->never, error));
    if ((when == NULL) == (step->who == 0)) {
        return dv_yaml_refuse(map, error, "the step %s wants either who or when", step->name);
    }
    if (when != NULL) {
        uint32_t value;
        DV_TRY(word_read(when, items ? ITEM_WHEN : CASE_WHEN,
                         items ? DV_ARRAY_LEN(ITEM_WHEN) : DV_ARRAY_LEN(CASE_WHEN), &value, error));
        step->when = (dv_case_when)value;
        step->who = DV_CASE_CLOCK;
    }
    return DV_OK;
}

static dv_result step_read(const dv_yaml *map, bool items, const dv_case_machine *machine,
                           dv_case_step *step, dv_error *error)
{
    static const char *const keys[] = {"from", "to",     "who",   "never",
                                       "when", "reason", "alarm", NULL};
    const dv_yaml *from, *to;
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(member(map, "from", &from, error));
    DV_TRY(member(map, "to", &to, error));
    DV_TRY(from_read(machine, from, &step->from, error));
    DV_TRY(state_read(machine, to, &step->to, error));
    DV_TRY(step_who_read(map, items, step, error));
    DV_TRY(flag_read(map, "reason", &step->reason, error));
    DV_TRY(flag_read(map, "alarm", &step->alarm, error));
    return (step->from & 1U << step->to) != 0
               ? dv_yaml_refuse(to, error, "the step %s leads to where it begins", step->name)
               : DV_OK;
}

static dv_result steps_read(const dv_yaml *map, bool items, dv_case_machine *machine,
                            dv_error *error)
{
    if (map->type != DV_YAML_MAP || map->first == NULL) {
        return dv_yaml_refuse(map, error, "wants a map of steps");
    }
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        if (machine->step_count == DV_LIMIT_CASE_STEPS) {
            return dv_error_set_at(error, DV_ERR_TOO_LARGE, node->key_line, node->key_column,
                                   "more than %d steps", DV_LIMIT_CASE_STEPS);
        }
        dv_case_step *step = &machine->steps[machine->step_count++];
        step->name = node->key;
        DV_TRY(id_check(node, node->key, error));
        DV_TRY(step_read(node, items, machine, step, error));
    }
    return DV_OK;
}

/* --- machines -------------------------------------------------------------------------------- */

bool dv_case_state_is_final(const dv_case_machine *machine, size_t state)
{
    bool leaves = false;
    for (size_t i = 0; i < machine->step_count && !leaves; i++) {
        leaves = (machine->steps[i].from & 1U << state) != 0;
    }
    return !leaves;
}

/* Bits of the states that can come to be. */
static uint32_t reachable(const dv_case_machine *machine)
{
    uint32_t reached = 1, before = 0;
    while (reached != before) {
        before = reached;
        for (size_t i = 0; i < machine->step_count; i++) {
            reached |= (machine->steps[i].from & reached) != 0 ? 1U << machine->steps[i].to : 0;
        }
    }
    return reached;
}

static dv_result machine_check(const dv_case_machine *machine, const dv_yaml *states,
                               dv_error *error)
{
    uint32_t reached = reachable(machine);
    bool ends = false;
    size_t state = 0;
    for (const dv_yaml *node = states->first; node != NULL; node = node->next, state++) {
        if ((reached & 1U << state) == 0) {
            return dv_yaml_refuse(node, error, "no step leads to the state %s",
                                  machine->states[state]);
        }
        ends = ends || dv_case_state_is_final(machine, state);
    }
    return ends ? DV_OK : dv_yaml_refuse(states, error, "no state is final: it would never end");
}

static dv_result machine_read(const dv_yaml *top, const char *key, bool items,
                              dv_case_machine *machine, dv_error *error)
{
    static const char *const keys[] = {"states", "steps", NULL};
    const dv_yaml *map, *states, *steps;
    DV_TRY(member(top, key, &map, error));
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(member(map, "states", &states, error));
    DV_TRY(member(map, "steps", &steps, error));
    DV_TRY(states_read(states, machine, error));
    DV_TRY(steps_read(steps, items, machine, error));
    return machine_check(machine, states, error);
}

/* --- the rest of a type ---------------------------------------------------------------------- */

static dv_result duration_read(const dv_yaml *map, const char *key, dv_time *ret_time,
                               dv_error *error)
{
    const dv_yaml *node;
    DV_TRY(member(map, key, &node, error));
    return dv_yaml_duration(node, ret_time, error);
}

static dv_result deadline_read(const dv_yaml *top, dv_case_type *type, dv_error *error)
{
    static const char *const keys[] = {"default", "least", "most", NULL};
    const dv_yaml *map;
    DV_TRY(member(top, "deadline", &map, error));
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(duration_read(map, "default", &type->deadline_default, error));
    DV_TRY(duration_read(map, "least", &type->deadline_least, error));
    DV_TRY(duration_read(map, "most", &type->deadline_most, error));
    return type->deadline_least > 0 && type->deadline_least <= type->deadline_default &&
                   type->deadline_default <= type->deadline_most
               ? DV_OK
               : dv_yaml_refuse(map, error, "wants 0 < least <= default <= most");
}

static dv_result count_read(const dv_yaml *top, const char *key, int64_t most, size_t *ret_count,
                            dv_error *error)
{
    const dv_yaml *node;
    int64_t count;
    DV_TRY(member(top, key, &node, error));
    DV_TRY(dv_yaml_int(node, 1, most, &count, error));
    *ret_count = (size_t)count;
    return DV_OK;
}

/* What the clock does to what is undecided must be a step that it may take from where items begin,
 * without a reason of its own. */
static dv_result choice_read(const dv_yaml *node, dv_case_type *type, dv_error *error)
{
    dv_case_choice *choice = &type->choices[type->choice_count];
    const dv_case_step *step;
    DV_TRY(id_check(node, node->key, error));
    choice->name = node->key;
    if (node->type == DV_YAML_NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &choice->step, error));
    step = dv_case_step_named(&type->items, choice->step);
    if (step == NULL) {
        return dv_yaml_refuse(node, error, "items have no step %s", choice->step);
    }
    return (step->who & DV_CASE_CLOCK) != 0 && step->when == DV_CASE_ASKED
               ? DV_OK
               : dv_yaml_refuse(node, error, "the clock may not take the step %s", choice->step);
}

static dv_result choices_read(const dv_yaml *top, dv_case_type *type, dv_error *error)
{
    const dv_yaml *map;
    DV_TRY(member(top, "at_deadline", &map, error));
    if (map->type != DV_YAML_MAP || map->first == NULL) {
        return dv_yaml_refuse(map, error, "wants a map of at least one choice");
    }
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        if (type->choice_count == DV_LIMIT_CASE_CHOICES) {
            return dv_error_set_at(error, DV_ERR_TOO_LARGE, node->key_line, node->key_column,
                                   "more than %d choices", DV_LIMIT_CASE_CHOICES);
        }
        DV_TRY(choice_read(node, type, error));
        type->choice_count++;
    }
    return DV_OK;
}

static dv_result names_read(const dv_yaml *top, dv_case_type *type, dv_error *error)
{
    const dv_yaml *id, *name, *doc, *assignee;
    const char *text;
    DV_TRY(member(top, "id", &id, error));
    DV_TRY(member(top, "name", &name, error));
    DV_TRY(member(top, "doc", &doc, error));
    DV_TRY(member(top, "assignee", &assignee, error));
    DV_TRY(id_read(id, &type->id, error));
    DV_TRY(id_read(assignee, &type->assignee, error));
    DV_TRY(dv_yaml_string(doc, &text, error));
    return dv_yaml_string(name, &type->name, error);
}

dv_result dv_case_type_parse(dv_slice yaml, dv_arena *arena, const dv_case_type **ret_type,
                             dv_error *error)
{
    static const char *const keys[] = {"id",       "name",        "doc",      "assignee",
                                       "deadline", "items_max",   "open_max", "case",
                                       "item",     "at_deadline", NULL};
    const dv_yaml *top;
    dv_case_type *type = dv_arena_alloc(arena, sizeof(*type));
    if (type == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_yaml_parse(yaml, arena, &top, error));
    DV_TRY(dv_yaml_check_keys(top, keys, error));
    DV_TRY(names_read(top, type, error));
    DV_TRY(deadline_read(top, type, error));
    DV_TRY(count_read(top, "items_max", DV_LIMIT_CASE_ITEMS, &type->items_max, error));
    DV_TRY(count_read(top, "open_max", DV_LIMIT_CASES_OPEN, &type->open_max, error));
    DV_TRY(machine_read(top, "case", false, &type->cases, error));
    DV_TRY(machine_read(top, "item", true, &type->items, error));
    DV_TRY(choices_read(top, type, error));
    *ret_type = type;
    return DV_OK;
}

dv_result dv_case_type_load(const char *id, dv_arena *arena, const dv_case_type **ret_type,
                            dv_error *error)
{
    for (size_t i = 0; i < DV_CASE_TYPE_FILE_COUNT; i++) {
        if (strcmp(DV_CASE_TYPE_FILES[i].id, id) == 0) {
            return dv_case_type_parse(dv_slice_str(DV_CASE_TYPE_FILES[i].text), arena, ret_type,
                                      error);
        }
    }
    return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no type of cases named %s", id);
}

/* --- asking a type --------------------------------------------------------------------------- */

const dv_case_step *dv_case_step_named(const dv_case_machine *machine, const char *name)
{
    for (size_t i = 0; i < machine->step_count; i++) {
        if (strcmp(machine->steps[i].name, name) == 0) {
            return &machine->steps[i];
        }
    }
    return NULL;
}

bool dv_case_step_leaves(const dv_case_machine *machine, const dv_case_step *step,
                         const char *state)
{
    uint32_t index;
    return state_find(machine, state, &index) && (step->from & 1U << index) != 0;
}

const dv_case_step *dv_case_step_when(const dv_case_machine *machine, const char *state,
                                      dv_case_when when)
{
    for (size_t i = 0; i < machine->step_count; i++) {
        const dv_case_step *step = &machine->steps[i];
        if (step->when == when && dv_case_step_leaves(machine, step, state)) {
            return step;
        }
    }
    return NULL;
}

const dv_case_choice *dv_case_choice_named(const dv_case_type *type, const char *name)
{
    for (size_t i = 0; i < type->choice_count; i++) {
        if (name == NULL || strcmp(type->choices[i].name, name) == 0) {
            return &type->choices[i];
        }
    }
    return NULL;
}
