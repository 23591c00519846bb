/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_copy_leaks.h"

#include "cli/data_asset.h"
#include "engine/detect/action/value_set.h"

enum {
    PLACES_MAX = 1000, /* that are told; further ones are counted with the last */
    PLACE_LEN = 512,
    DIGITS_LEAST = 9, /* of numbers that hardly are equal by chance */
    CODE_LEAST = 8,
    TEXT_LEAST = 16, /* bytes; with a space in it half of that */
};

typedef struct leak {
    char place[PLACE_LEN], column[PLACE_LEN];
    const char *kind;
    uint64_t values;
} leak;

struct dv_copy_leaks {
    const dv_copy_plan *plan;
    dv_value_set *hidden, *made;
    dv_slice file;
    leak *places;
    size_t count;
    uint64_t values;
    dv_slice found; /* where the value stood that was looked at last: it may be a whole cell */
};

dv_result dv_copy_leaks_new(const dv_copy_plan *plan, dv_copy_leaks **ret_leaks)
{
    dv_copy_leaks *leaks = calloc(1, sizeof(*leaks));
    if (leaks == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    leaks->plan = plan;
    leaks->places = calloc(PLACES_MAX, sizeof(*leaks->places));
    if (leaks->places == NULL || dv_value_set_new(DV_VALUE_SET_USUAL, &leaks->hidden) != DV_OK ||
        dv_value_set_new(DV_VALUE_SET_USUAL, &leaks->made) != DV_OK) {
        dv_copy_leaks_free(leaks);
        return DV_ERR_NO_MEMORY;
    }
    *ret_leaks = leaks;
    return DV_OK;
}

void dv_copy_leaks_free(dv_copy_leaks *leaks)
{
    if (leaks != NULL) {
        dv_value_set_free(leaks->hidden);
        dv_value_set_free(leaks->made);
        free(leaks->places);
        free(leaks);
    }
}

void dv_copy_leaks_enter(dv_copy_leaks *leaks, const char *file)
{
    leaks->file = dv_slice_str(file);
    leaks->found = (dv_slice){NULL, 0};
}

/* ---- while the copy is made ---- */

static dv_result learn(void *data, const dv_transform_seen *seen)
{
    dv_copy_leaks *leaks = data;
    if (!seen->acted || seen->before.len == 0) {
        return DV_OK;
    }
    DV_TRY(dv_value_set_add(leaks->hidden, seen->before));
    return dv_value_set_add(leaks->made, seen->after);
}

dv_transform_watch dv_copy_leaks_learn(dv_copy_leaks *leaks)
{
    return (dv_transform_watch){learn, leaks};
}

/* ---- while it is looked at ---- */

/* Whether two such cells that are equal hold one value, and not "yes" or 37. Dates are equal by
 * chance. */
static bool tells(dv_slice text)
{
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < text.len; i++) {
        digits += dv_is_digit(text.ptr[i]);
        letters += dv_is_alnum(text.ptr[i]) || text.ptr[i] >= 0x80;
    }
    switch (dv_shape_of(text, DV_DATE_DMY)) {
    case DV_SHAPE_EMAIL:
    case DV_SHAPE_ADDRESS:
        return true;
    case DV_SHAPE_DATE:
        return false;
    case DV_SHAPE_DIGITS:
        return digits >= DIGITS_LEAST;
    case DV_SHAPE_CODE:
        return letters >= CODE_LEAST;
    default:
        return letters > 0 &&
               text.len >= (dv_slice_find_byte(text, ' ') >= 0 ? TEXT_LEAST / 2 : TEXT_LEAST);
    }
}

static void name_place(const dv_copy_leaks *leaks, const dv_transform_seen *seen,
                       char place[PLACE_LEN])
{
    bool file = leaks->file.len > 0;
    if (!file && seen->table.len == 0) { /* a default, a comment, the values of a type */
        (void)snprintf(place, PLACE_LEN, "definitions");
        return;
    }
    dv_slice_copy(file ? leaks->file : seen->table, place, PLACE_LEN);
    for (size_t i = 0; !file && i < DV_MIN(seen->table.len, (size_t)PLACE_LEN - 1); i++) {
        place[i] = place[i] == '\0' ? '.' : place[i]; /* between schema and table */
    }
}

static void count(dv_copy_leaks *leaks, const dv_transform_seen *seen, const char *place)
{
    char column[PLACE_LEN];
    const char *kind = seen->kind == NULL ? "value" : seen->kind;
    dv_slice_copy(seen->column, column, sizeof(column));
    leaks->values++;
    size_t at = 0;
    while (at < leaks->count && (strcmp(leaks->places[at].place, place) != 0 ||
                                 strcmp(leaks->places[at].column, column) != 0 ||
                                 strcmp(leaks->places[at].kind, kind) != 0)) {
        at++;
    }
    if (at == PLACES_MAX) {
        at--;
    } else if (at == leaks->count) {
        leak *new = &leaks->places[leaks->count++];
        (void)snprintf(new->place, sizeof(new->place), "%s", place);
        (void)snprintf(new->column, sizeof(new->column), "%s", column);
        new->kind = kind;
    }
    leaks->places[at].values++;
}

static dv_result look(void *data, const dv_transform_seen *seen)
{
    dv_copy_leaks *leaks = data;
    bool whole = seen->kind == NULL, hidden = false, made = true;
    char place[PLACE_LEN];
    bool again =
        whole && seen->before.ptr == leaks->found.ptr && seen->before.len == leaks->found.len;
    leaks->found = whole ? (dv_slice){NULL, 0} : seen->before;
    if (again || seen->before.len == 0 || (whole && !tells(seen->before))) {
        return DV_OK;
    }
    DV_TRY(dv_value_set_has(leaks->hidden, seen->before, &hidden));
    DV_TRY(hidden ? dv_value_set_has(leaks->made, seen->before, &made) : DV_OK);
    if (!hidden || made) {
        return DV_OK;
    }
    name_place(leaks, seen, place);
    if (!dv_copy_plan_accepts(leaks->plan, dv_slice_str(place), seen->column)) {
        count(leaks, seen, place);
    }
    return DV_OK;
}

dv_transform_watch dv_copy_leaks_look(dv_copy_leaks *leaks)
{
    return (dv_transform_watch){look, leaks};
}

uint64_t dv_copy_leaks_count(const dv_copy_leaks *leaks)
{
    return leaks->values;
}

json_t *dv_copy_leaks_json(const dv_copy_leaks *leaks)
{
    json_t *list = json_array();
    for (size_t i = 0; i < leaks->count; i++) {
        const leak *l = &leaks->places[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:s, s:I}", "place",
                                              dv_data_text_json(l->place), "column",
                                              dv_data_text_json(l->column), "kind", l->kind,
                                              "values", (json_int_t)l->values));
    }
    return list;
}
