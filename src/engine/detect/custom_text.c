/* SPDX-License-Identifier: Apache-2.0 */
/* Users' detectors as one process hands them to another: JSON, so that who takes them needs no
 * YAML.
 * {"detectors":[{"id":"a", ... }]}, of which all members are there. */
#include "engine/detect/custom_private.h"

#include "base/buf.h"
#include "base/json.h"
#include "engine/detect/digits.h"

enum { TOKENS = DV_CUSTOM_MAX * 64 + 16, DEPTH = 4 };

/* ---- checks ---- */

static bool check_luhn(dv_detect_candidate *candidate)
{
    dv_digits digits;
    dv_digits_collect(candidate, false, &digits);
    return digits.count > 1 && dv_digits_luhn(digits.text, digits.count);
}

static bool check_verhoeff(dv_detect_candidate *candidate)
{
    dv_digits digits;
    dv_digits_collect(candidate, false, &digits);
    return digits.count > 1 && dv_digits_verhoeff(digits.text, digits.count);
}

static const struct {
    const char *name;
    dv_detect_check check;
} checks[] = {
    {"luhn", check_luhn},
    {"verhoeff", check_verhoeff},
#define DV_DETECT_CHECK(name) {#name, dv_detect_check_##name},
#include "engine/detect/checks.def"
#undef DV_DETECT_CHECK
};

dv_detect_check dv_custom_check(const char *name, const char **ret_name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(checks); i++) {
        if (strcmp(checks[i].name, name) == 0) {
            *ret_name = checks[i].name;
            return checks[i].check;
        }
    }
    return NULL;
}

/* ---- writing ---- */

static dv_result write_text(dv_buf *out, const char *name, const char *text)
{
    DV_TRY(dv_buf_append_printf(out, "\"%s\":", name));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(text != NULL ? text : "")));
    return dv_buf_append_byte(out, ',');
}

static dv_result write_rule(const dv_custom_rule *rule, dv_buf *out)
{
    const dv_detector_info *info = &rule->info;
    DV_TRY(write_text(out, "id", info->id));
    DV_TRY(write_text(out, "name", info->name));
    DV_TRY(write_text(out, "type", info->type));
    DV_TRY(write_text(out, "category", info->category));
    DV_TRY(write_text(out, "region", info->region));
    DV_TRY(write_text(out, "label", info->label));
    DV_TRY(write_text(out, "doc", info->doc));
    DV_TRY(write_text(out, "match", rule->match));
    DV_TRY(write_text(out, "ahead", rule->ahead));
    DV_TRY(write_text(out, "words", rule->words));
    DV_TRY(write_text(out, "check", rule->check_name));
    return dv_buf_append_printf(
        out,
        "\"request\":%u,\"answer\":%u,\"score\":%u,\"keep_last\":%u,\"distance\":%u,"
        "\"entropy\":%u,\"required\":%u,\"caseless\":%u",
        info->request_action, info->answer_action, info->score, info->keep_last, rule->distance,
        rule->entropy, rule->required, rule->caseless);
}

dv_result dv_custom_write(const dv_detect_custom *custom, dv_buf *out)
{
    DV_TRY(dv_buf_append_str(out, "{\"detectors\":["));
    for (size_t i = 0; i < custom->count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? ",{" : "{"));
        DV_TRY(write_rule(&custom->rules[i], out));
        DV_TRY(dv_buf_append_str(out, "}"));
    }
    return dv_buf_append_str(out, "]}");
}

/* ---- reading ---- */

typedef struct reading {
    const dv_json *json;
    uint32_t rule;
    dv_arena *arena;
    dv_error *error;
} reading;

static dv_result wrong(const reading *r, const char *name)
{
    return dv_error_set(r->error, DV_ERR_INVALID, "users' detectors: '%s' is not right", name);
}

/* A text without a NUL in the arena. */
static dv_result read_text(const reading *r, const char *name, const char **ret_text)
{
    uint32_t token = dv_json_member(r->json, r->rule, name);
    dv_slice text = {NULL, 0};
    if (token == 0 || r->json->tokens[token].type != DV_JSON_STRING) {
        return wrong(r, name);
    }
    DV_TRY(dv_json_string(r->json, token, r->arena, &text));
    if (dv_slice_find_byte(text, '\0') >= 0) {
        return wrong(r, name);
    }
    *ret_text = dv_arena_printf(r->arena, "%.*s", DV_SLICE_ARGS(text));
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_number(const reading *r, const char *name, int64_t max, int64_t *ret_number)
{
    uint32_t token = dv_json_member(r->json, r->rule, name);
    return token != 0 && r->json->tokens[token].type == DV_JSON_NUMBER &&
                   dv_json_int(r->json, token, ret_number) == DV_OK && *ret_number >= 0 &&
                   *ret_number <= max
               ? DV_OK
               : wrong(r, name);
}

static dv_result read_numbers(const reading *r, dv_custom_rule *rule)
{
    int64_t request = 0, answer = 0, score = 0, keep = 0, distance = 0, entropy = 0;
    int64_t required = 0, caseless = 0;
    DV_TRY(read_number(r, "request", DV_CONTENT_ACTIONS - 1, &request));
    DV_TRY(read_number(r, "answer", DV_CONTENT_ACTIONS - 1, &answer));
    DV_TRY(read_number(r, "score", 100, &score));
    DV_TRY(read_number(r, "keep_last", UINT8_MAX, &keep));
    DV_TRY(read_number(r, "distance", UINT16_MAX, &distance));
    DV_TRY(read_number(r, "entropy", 800, &entropy));
    DV_TRY(read_number(r, "required", 1, &required));
    DV_TRY(read_number(r, "caseless", 1, &caseless));
    rule->info.request_action = (uint8_t)request;
    rule->info.answer_action = (uint8_t)answer;
    rule->info.score = (uint8_t)score;
    rule->info.keep_last = (uint8_t)keep;
    rule->info.standard = true;
    rule->distance = (uint16_t)distance;
    rule->entropy = (uint16_t)entropy;
    rule->required = required != 0;
    rule->caseless = caseless != 0;
    return DV_OK;
}

static dv_result read_texts(const reading *r, dv_custom_rule *rule)
{
    dv_detector_info *info = &rule->info;
    const char *check = "";
    DV_TRY(read_text(r, "id", &info->id));
    DV_TRY(read_text(r, "name", &info->name));
    DV_TRY(read_text(r, "type", &info->type));
    DV_TRY(read_text(r, "category", &info->category));
    DV_TRY(read_text(r, "region", &info->region));
    DV_TRY(read_text(r, "label", &info->label));
    DV_TRY(read_text(r, "doc", &info->doc));
    DV_TRY(read_text(r, "match", &rule->match));
    DV_TRY(read_text(r, "ahead", &rule->ahead));
    DV_TRY(read_text(r, "words", &rule->words));
    DV_TRY(read_text(r, "check", &check));
    rule->words = rule->words[0] != '\0' ? rule->words : NULL;
    if (check[0] != '\0') {
        rule->check = dv_custom_check(check, &rule->check_name);
    }
    return check[0] != '\0' && rule->check == NULL ? wrong(r, "check") : DV_OK;
}

dv_result dv_custom_parse_text(dv_detect_custom *custom, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = DEPTH, .tokens = TOKENS, .refuse_duplicate_keys = true};
    dv_json json = {0};
    DV_TRY(dv_json_scan(custom->text, &limits, custom->arena, &json, error));
    uint32_t list =
        json.tokens[0].type == DV_JSON_OBJECT ? dv_json_member(&json, 0, "detectors") : 0;
    reading r = {&json, 0, custom->arena, error};
    if (list == 0 || json.tokens[list].type != DV_JSON_ARRAY) {
        return wrong(&r, "detectors");
    }
    for (uint32_t item = list + 1; item < json.tokens[list].next; item = json.tokens[item].next) {
        r.rule = item;
        if (custom->count == DV_CUSTOM_MAX || json.tokens[item].type != DV_JSON_OBJECT) {
            return wrong(&r, "detectors");
        }
        DV_TRY(read_texts(&r, &custom->rules[custom->count]));
        DV_TRY(read_numbers(&r, &custom->rules[custom->count]));
        custom->count++;
    }
    return DV_OK;
}
