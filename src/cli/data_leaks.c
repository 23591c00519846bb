/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data leaks`: asks for the log part by part, and adds the parts up. */
#include "api/commands.h"

#include <stdlib.h>
#include <string.h>

typedef struct totals {
    json_t *rows;    /* by key */
    json_t *volumes; /* by rule, action and user */
    json_int_t unlisted;
} totals;

static const char *const numbers[] = {"sent",    "got",      "hidden", "passed",
                                      "refused", "requests", "times",  "values"};

/* Adds a row to the one of the same name, or puts it there. */
static dv_result add_row(json_t *all, const char *name, json_t *row)
{
    json_t *sum = json_object_get(all, name);
    if (sum == NULL) {
        return json_object_set(all, name, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(numbers); i++) {
        const json_t *more = json_object_get(row, numbers[i]);
        json_int_t value =
            json_integer_value(json_object_get(sum, numbers[i])) + json_integer_value(more);
        if (more != NULL && json_object_set_new(sum, numbers[i], json_integer(value)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result add_part(totals *all, const json_t *part)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(part, "rows"), i, row)
    {
        const char *key = json_string_value(json_object_get(row, "key"));
        DV_TRY(key == NULL ? DV_ERR_CORRUPT : add_row(all->rows, key, row));
    }
    json_array_foreach(json_object_get(part, "volumes"), i, row)
    {
        json_t *name = json_sprintf("%s %s %s", json_string_value(json_object_get(row, "rule")),
                                    json_string_value(json_object_get(row, "action")),
                                    json_string_value(json_object_get(row, "user")));
        dv_result result =
            name == NULL ? DV_ERR_CORRUPT : add_row(all->volumes, json_string_value(name), row);
        json_decref(name);
        DV_TRY(result);
    }
    all->unlisted += json_integer_value(json_object_get(part, "unlisted"));
    return DV_OK;
}

static dv_result read_all(dv_cli *cli, const json_t *params, totals *all, dv_error *error)
{
    json_t *asked = json_copy((json_t *)(uintptr_t)params);
    json_t *next = NULL;
    dv_result result = asked != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    do {
        json_t *part = NULL;
        if (result == DV_OK && next != NULL && json_object_set(asked, "cursor", next) != 0) {
            result = DV_ERR_NO_MEMORY;
        }
        if (result == DV_OK) {
            result = dv_cli_call(cli, "data_leak_count", asked, NULL, &part, error);
        }
        if (result == DV_OK) {
            result = add_part(all, part);
        }
        json_decref(next);
        next = json_incref(json_object_get(part, "next"));
        json_decref(part);
    } while (result == DV_OK && next != NULL);
    json_decref(next);
    json_decref(asked);
    return result;
}

/* ---- printing ---- */

static json_int_t weight_of(const json_t *row)
{
    return json_integer_value(json_object_get(row, "sent")) +
           json_integer_value(json_object_get(row, "got")) +
           json_integer_value(json_object_get(row, "values"));
}

static const char *name_of(const json_t *row)
{
    const char *key = json_string_value(json_object_get(row, "key"));
    const char *user = json_string_value(json_object_get(row, "user"));
    return key != NULL ? key : user != NULL ? user : "";
}

/* The most first, equals by name. */
static int by_weight(const void *a, const void *b)
{
    const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
    json_int_t x = weight_of(one), y = weight_of(other);
    return x != y ? (x < y ? 1 : -1) : strcmp(name_of(one), name_of(other));
}

/* The values of an object of rows, sorted; a new reference. */
static json_t *sorted(const json_t *rows)
{
    size_t count = json_object_size(rows), i = 0;
    json_t **list = calloc(count + 1, sizeof(*list));
    json_t *array = json_array();
    const char *key;
    json_t *row;
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        if (list != NULL) {
            list[i++] = row;
        }
    }
    if (list != NULL) {
        qsort(list, count, sizeof(*list), by_weight);
    }
    for (i = 0; list != NULL && i < count; i++) {
        (void)json_array_append(array, list[i]);
    }
    free(list);
    return array;
}

/* `key` is called what it is. */
static dv_result name_keys(json_t *rows, const char *by)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (json_object_set(row, by, json_object_get(row, "key")) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        (void)json_object_del(row, "key");
    }
    return DV_OK;
}

static dv_result print(dv_cli *cli, const json_t *params, const totals *all)
{
    const char *by = json_string_value(json_object_get(params, "by"));
    const char *const columns[] = {by,       "sent",    "got",      "hidden",
                                   "passed", "refused", "requests", NULL};
    static const char *const volume_columns[] = {"rule", "action", "user", "times", "values", NULL};
    json_t *answer = json_pack(
        "{s:O, s:s, s:o, s:o, s:I}", "since", json_object_get(params, "since"), "by", by, "rows",
        sorted(all->rows), "volumes", sorted(all->volumes), "unlisted", all->unlisted);
    if (answer == NULL || name_keys(json_object_get(answer, "rows"), by) != DV_OK) {
        json_decref(answer);
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_cli_print(cli, answer, "rows", columns);
    bool table = cli->output == DV_OUTPUT_TABLE;
    if (result == DV_OK && table && json_object_size(all->volumes) > 0) {
        fputc('\n', cli->out);
        result = dv_cli_print(cli, answer, "volumes", volume_columns);
    }
    if (result == DV_OK && table && all->unlisted > 0) {
        fprintf(cli->err, "dvara: %lld more places with values are not listed in their records\n",
                (long long)all->unlisted);
    }
    json_decref(answer);
    return result;
}

int dv_command_data_leaks(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    totals all = {.rows = json_object(), .volumes = json_object()};
    dv_result result = all.rows == NULL || all.volumes == NULL
                           ? DV_ERR_NO_MEMORY
                           : read_all(cli, params, &all, &error);
    if (result == DV_OK) {
        result = print(cli, params, &all);
    }
    json_decref(all.rows);
    json_decref(all.volumes);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
