/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event.h"
#include "core/event_personal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A row whose members are no rows ("limit") stands for what is below it. */
static bool holds(dv_slice row, const char *path)
{
    dv_slice text = dv_slice_str(path);
    return dv_slice_starts_with(text, row) &&
           (text.len == row.len || (text.len > row.len && text.ptr[row.len] == '.'));
}

static bool is_listed(dv_slice row)
{
    for (size_t i = 0; i < dv_event_personal_path_count; i++) {
        if (holds(row, dv_event_personal_paths[i].path)) {
            return true;
        }
    }
    return false;
}

static void check_row(void *data, dv_slice path, dv_sensitivity sensitivity)
{
    size_t *personal = data;
    if (sensitivity != DV_SENSITIVITY_PERSONAL) {
        return;
    }
    (*personal)++;
    if (!is_listed(path)) {
        fail_msg("%.*s is personal, and nobody's", DV_SLICE_ARGS(path));
    }
}

static void test_every_personal_row_is_somebodys(void **state)
{
    size_t personal = 0;
    dv_event_fields(check_row, &personal);
    assert_true(personal > 100);
}

typedef struct search {
    const char *path;
    bool found;
} search;

static void find_row(void *data, dv_slice path, dv_sensitivity sensitivity)
{
    search *wanted = data;
    wanted->found =
        wanted->found || (sensitivity == DV_SENSITIVITY_PERSONAL && holds(path, wanted->path));
}

static bool is_personal_row(const char *path)
{
    search wanted = {path, false};
    dv_event_fields(find_row, &wanted);
    return wanted.found;
}

static void test_every_path_is_a_personal_row(void **state)
{
    for (size_t i = 0; i < dv_event_personal_path_count; i++) {
        const dv_event_personal_path *path = &dv_event_personal_paths[i];
        if (!is_personal_row(path->path)) {
            fail_msg("no class calls %s personal", path->path);
        }
        assert_non_null(path->subjects[0]);
        assert_null(path->subjects[DV_EVENT_SUBJECTS_MAX]);
        /* Who a person is is personal itself, or it would be left behind. */
        for (size_t j = 0; path->subjects[j] != NULL; j++) {
            assert_non_null(dv_event_personal_path_find(dv_slice_str(path->subjects[j])));
        }
    }
}

static void test_paths_are_found(void **state)
{
    const dv_event_personal_path *agent =
        dv_event_personal_path_find(DV_LIT("http_request.user_agent"));
    assert_non_null(agent);
    assert_string_equal(agent->subjects[0], "actor.user.uid");
    assert_true(agent->or_day);
    assert_null(dv_event_personal_path_find(DV_LIT("http_request.version")));
    assert_null(dv_event_personal_path_find(DV_LIT("actor.user")));
    assert_null(dv_event_personal_path_find((dv_slice){NULL, 0}));
}

static void test_unknown_fields_are_personal(void **state)
{
    assert_int_equal(dv_event_sensitivity(DV_LIT("nobody.knows")), DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("http_request.user_agent")),
                     DV_SENSITIVITY_PERSONAL);
    assert_int_equal(dv_event_sensitivity(DV_LIT("severity_id")), DV_SENSITIVITY_PUBLIC);
    assert_int_equal(dv_event_sensitivity(DV_LIT("entity.uid")), DV_SENSITIVITY_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_personal_row_is_somebodys),
        cmocka_unit_test(test_every_path_is_a_personal_row),
        cmocka_unit_test(test_paths_are_found),
        cmocka_unit_test(test_unknown_fields_are_personal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
