/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_asset.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { FINDINGS_MAX = 200, TEXT_MAX = 64 << 10 };

json_t *dv_data_text_json(const char *text)
{
    dv_auto(buf) dv_buf good = dv_buf_init(4 * TEXT_MAX);
    dv_slice rest = dv_slice_sub(dv_slice_str(text), 0, TEXT_MAX);
    while (rest.len > 0) {
        size_t len = dv_utf8_prefix(rest);
        if (dv_buf_append(&good, dv_slice_sub(rest, 0, len)) != DV_OK ||
            (len < rest.len && dv_buf_append_str(&good, "\xEF\xBF\xBD") != DV_OK)) {
            return NULL;
        }
        rest = dv_slice_sub(rest, len + 1, rest.len);
    }
    return json_stringn(good.len > 0 ? (const char *)good.ptr : "", good.len);
}

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    if (time <= 0) {
        return json_null();
    }
    dv_time_format(time, text);
    return json_string(text);
}

/* ---- what was found ---- */

static json_t *finding_json(const dv_data_part *part, const dv_data_tally *tally)
{
    json_t *json = json_pack(
        "{s:o, s:s, s:s, s:s, s:I, s:i, s:i}", "place", dv_data_text_json(part->name), "detector",
        dv_data_kind_id(tally->kind), "type", dv_data_kind_type(tally->kind), "category",
        dv_data_kind_category(tally->kind), "values", (json_int_t)tally->values, "score",
        (int)tally->score, "average_score", (int)(tally->score_sum / tally->values));
    if (json != NULL && part->column) {
        json_object_set_new(json, "rows", json_integer((json_int_t)tally->cells));
        json_object_set_new(json, "rows_read", json_integer((json_int_t)part->cells));
    }
    return json;
}

static json_t *findings_json(const dv_data_part *const *parts, size_t count, uint64_t *ret_values,
                             bool *ret_cut)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i]->count; k++) {
            *ret_values += parts[i]->tallies[k].values;
            if (json_array_size(list) == FINDINGS_MAX) {
                *ret_cut = true;
            } else {
                json_array_append_new(list, finding_json(parts[i], &parts[i]->tallies[k]));
            }
        }
    }
    return list;
}

/* ---- the same by kind ---- */

static int by_values(const void *a, const void *b)
{
    const dv_data_tally *one = a, *other = b;
    return one->values != other->values ? (one->values < other->values ? 1 : -1)
                                        : (int)one->kind - (int)other->kind;
}

static json_t *tallies_json(dv_data_tally *sums, size_t count)
{
    json_t *list = json_array();
    qsort(sums, count, sizeof(*sums), by_values);
    for (size_t i = 0; i < count && sums[i].values > 0; i++) {
        const dv_data_tally *sum = &sums[i];
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:I, s:i, s:i}", "detector", dv_data_kind_id(sum->kind),
                      "type", dv_data_kind_type(sum->kind), "category",
                      dv_data_kind_category(sum->kind), "values", (json_int_t)sum->values, "score",
                      (int)sum->score, "average_score", (int)(sum->score_sum / sum->values)));
    }
    return list;
}

/* All places together, the most values first. */
static json_t *types_json(const dv_data_part *const *parts, size_t count)
{
    size_t kinds = dv_data_kind_count();
    dv_data_tally *sums = calloc(kinds, sizeof(*sums));
    if (sums == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i]->count; k++) {
            const dv_data_tally *tally = &parts[i]->tallies[k];
            dv_data_tally *sum = &sums[tally->kind];
            sum->values += tally->values;
            sum->score_sum += tally->score_sum;
            sum->score = DV_MAX(sum->score, tally->score);
        }
    }
    for (size_t kind = 0; kind < kinds; kind++) {
        sums[kind].kind = (uint16_t)kind;
    }
    json_t *list = tallies_json(sums, kinds);
    free(sums);
    return list;
}

/* ---- what that makes it ---- */

static json_t *reason_json(const dv_data_reason *reason)
{
    json_t *why = json_array();
    for (size_t i = 0; i < reason->why_count; i++) {
        json_array_append_new(why, dv_data_text_json(reason->whys[i]));
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:o}", "rule", reason->rule->id, "category",
                     reason->rule->category, "sensitivity", dv_data_level_name(reason->sensitivity),
                     "confidence", (int)reason->confidence, "why", why);
}

static void add_word(json_t *list, const char *word)
{
    size_t i;
    const json_t *other;
    json_array_foreach(list, i, other)
    {
        if (strcmp(json_string_value(other), word) == 0) {
            return;
        }
    }
    json_array_append_new(list, json_string(word));
}

static void set_class(json_t *json, const dv_data_class *class)
{
    json_t *categories = json_array(), *labels = json_array(), *reasons = json_array();
    for (size_t i = 0; i < class->count; i++) {
        const dv_data_rule *rule = class->reasons[i].rule;
        add_word(categories, rule->category);
        for (size_t k = 0; k < rule->labels.count; k++) {
            add_word(labels, rule->labels.items[k]);
        }
        json_array_append_new(reasons, reason_json(&class->reasons[i]));
    }
    json_object_set_new(json, "categories", categories);
    json_object_set_new(json, "labels", labels);
    json_object_set_new(json, "reasons", reasons);
}

json_t *dv_data_asset_json(const dv_scan_item *item, const dv_data_part *const *parts, size_t count,
                           const dv_data_class *class)
{
    uint64_t values = 0;
    bool cut = false;
    json_t *findings = findings_json(parts, count, &values, &cut);
    json_t *json =
        json_pack("{s:o, s:s, s:s, s:i, s:I, s:I, s:I, s:o}", "name", dv_data_text_json(item->name),
                  "kind", dv_scan_kind_name(item->kind), "sensitivity",
                  dv_data_level_name(class->sensitivity), "confidence", (int)class->confidence,
                  "values", (json_int_t)values, "size", (json_int_t)item->size, "rows",
                  (json_int_t)item->rows, "modified", time_json(item->modified));
    if (json == NULL) {
        json_decref(findings);
        return NULL;
    }
    set_class(json, class);
    /* By a name that is no UTF-8 nobody finds it again. */
    const char *name = json_string_value(json_object_get(json, "name"));
    bool exact = name != NULL && strcmp(name, item->name) == 0;
    json_object_set_new(json, "stamp", json_string(exact ? item->stamp : ""));
    json_object_set_new(json, "types", types_json(parts, count));
    json_object_set_new(json, "findings", findings);
    json_object_set_new(json, "sampled", json_boolean(item->sampled));
    if (cut) {
        json_object_set_new(json, "more_findings", json_true());
    }
    json_object_set_new(json, "problem", dv_data_text_json(item->problem));
    return json;
}
