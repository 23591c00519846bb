/* SPDX-License-Identifier: Apache-2.0 */
/* What make_databases.c does when Dvara is built, and a process for a machine that is not foreseen.
 */
#include "engine/detect/database.h"

#include <stdlib.h>

static dv_result compile_failure(hs_compile_error_t *failure, const char *which, dv_error *error)
{
    dv_result result =
        dv_error_set(error, DV_ERR_INVALID, "detector trigger %s: %s", which, failure->message);
    (void)hs_free_compile_error(failure);
    return result;
}

static dv_result compile_triggers(const hs_platform_info_t *machine, hs_database_t **ret_database,
                                  dv_error *error)
{
    size_t count = dv_detect_family_end[DV_FAMILY_SIEVED];
    dv_auto(free) unsigned *flags = calloc(count, sizeof(*flags));
    dv_auto(free) unsigned *ids = calloc(count, sizeof(*ids));
    if (flags == NULL || ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        flags[i] = HS_FLAG_DOTALL;
        ids[i] = (unsigned)i;
    }
    hs_compile_error_t *failure = NULL;
    if (hs_compile_multi(dv_detect_triggers, flags, ids, (unsigned)count, HS_MODE_BLOCK, machine,
                         ret_database, &failure) != HS_SUCCESS) {
        int which = failure->expression;
        return compile_failure(failure, which >= 0 ? dv_detect_triggers[which] : "(all)", error);
    }
    return DV_OK;
}

typedef struct literals {
    const char **texts;
    size_t *lengths;
    unsigned *flags;
    unsigned *ids;
    unsigned count;
} literals;

static void literals_free(literals *all)
{
    free(all->texts);
    free(all->lengths);
    free(all->flags);
    free(all->ids);
}

static dv_result literals_of(dv_detect_family family, literals *all)
{
    all->texts = calloc(dv_detect_literal_count + 1, sizeof(*all->texts));
    all->lengths = calloc(dv_detect_literal_count + 1, sizeof(*all->lengths));
    all->flags = calloc(dv_detect_literal_count + 1, sizeof(*all->flags));
    all->ids = calloc(dv_detect_literal_count + 1, sizeof(*all->ids));
    if (all->texts == NULL || all->lengths == NULL || all->flags == NULL || all->ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < dv_detect_literal_count; i++) {
        const dv_detect_literal *literal = &dv_detect_literals[i];
        if (literal->trigger < dv_detect_family_end[family - 1] ||
            literal->trigger >= dv_detect_family_end[family]) {
            continue;
        }
        all->texts[all->count] = literal->text;
        all->lengths[all->count] = strlen(literal->text);
        all->flags[all->count] = literal->caseless ? HS_FLAG_CASELESS : 0;
        all->ids[all->count++] = literal->trigger;
    }
    return DV_OK;
}

static dv_result compile_literals(dv_detect_family family, const hs_platform_info_t *machine,
                                  hs_database_t **ret_database, dv_error *error)
{
    literals all = {0};
    hs_compile_error_t *failure = NULL;
    dv_result result = literals_of(family, &all);
    if (result == DV_OK && all.count > 0 &&
        hs_compile_lit_multi(all.texts, all.flags, all.ids, all.lengths, all.count, HS_MODE_BLOCK,
                             machine, ret_database, &failure) != HS_SUCCESS) {
        result = compile_failure(failure, "(literal)", error);
    }
    literals_free(&all);
    return result;
}

dv_result dv_detect_database_compile(dv_detect_family family, const hs_platform_info_t *machine,
                                     hs_database_t **ret_database, dv_error *error)
{
    *ret_database = NULL;
    return family == DV_FAMILY_SIEVED ? compile_triggers(machine, ret_database, error)
                                      : compile_literals(family, machine, ret_database, error);
}
