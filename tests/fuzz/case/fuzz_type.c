/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a type of cases; what is accepted can be walked to an end and is within its limits.
 */
#include "engine/case/case_type.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Every state is reached from the first one, and some state is final. */
static void check_machine(const dv_case_machine *machine)
{
    uint32_t reached = 1;
    bool ends = false;
    require(machine->state_count > 0 && machine->state_count <= DV_LIMIT_CASE_STATES);
    require(machine->step_count > 0 && machine->step_count <= DV_LIMIT_CASE_STEPS);
    for (size_t round = 0; round < machine->state_count; round++) {
        for (size_t i = 0; i < machine->step_count; i++) {
            const dv_case_step *step = &machine->steps[i];
            require(step->to < machine->state_count && step->who != 0 && step->from != 0);
            require(dv_case_step_named(machine, step->name) != NULL);
            reached |= (step->from & reached) != 0 ? 1U << step->to : 0;
        }
    }
    require(reached == (1U << machine->state_count) - 1);
    for (size_t state = 0; state < machine->state_count; state++) {
        ends = ends || dv_case_state_is_final(machine, state);
    }
    require(ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const dv_case_type *type = NULL;
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    require(arena != NULL);
    dv_result result = dv_case_type_parse(dv_slice_of(data, size), arena, &type, &error);
    if (result != DV_OK) {
        require(type == NULL && (error.message[0] != '\0' || result == DV_ERR_NO_MEMORY));
        return 0;
    }
    check_machine(&type->cases);
    check_machine(&type->items);
    require(type->choice_count > 0 && dv_case_choice_named(type, NULL) == &type->choices[0]);
    require(type->deadline_least > 0 && type->deadline_least <= type->deadline_most);
    require(type->items_max <= DV_LIMIT_CASE_ITEMS && type->open_max <= DV_LIMIT_CASES_OPEN);
    return 0;
}
