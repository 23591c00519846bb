/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_check.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/clock.h"
#include "base/codec.h"
#include "base/uuid.h"

#include <inttypes.h>
#include <pcre2.h>

enum { PATTERN_MATCH_LIMIT = 100000, NUMBER_TEXT_MAX = 24 };

typedef struct dv_checker {
    char *field; /* where the check is */
    dv_error *error;
} dv_checker;

static dv_result check(dv_checker *checker, const dv_schema *schema, json_t *value);

/* Goes one step down; returns the length to cut back to. A place too long to say is cut. */
static size_t enter(dv_checker *checker, const char *name)
{
    size_t len = strlen(checker->field);
    snprintf(checker->field + len, DV_FIELD_MAX - len, "%s%s", len > 0 ? "." : "", name);
    return len;
}

static dv_result refuse(dv_checker *checker, const char *what)
{
    if (checker->field[0] == '\0') {
        return dv_error_set(checker->error, DV_ERR_INVALID, "The request %s.", what);
    }
    return dv_error_set(checker->error, DV_ERR_INVALID, "The field %s %s.", checker->field, what);
}

static unsigned type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return DV_SCHEMA_OBJECT;
    case JSON_ARRAY:
        return DV_SCHEMA_ARRAY;
    case JSON_STRING:
        return DV_SCHEMA_STRING;
    case JSON_INTEGER:
        return DV_SCHEMA_INTEGER | DV_SCHEMA_NUMBER;
    case JSON_REAL:
        return DV_SCHEMA_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return DV_SCHEMA_BOOLEAN;
    case JSON_NULL:
        return DV_SCHEMA_NULL;
    }
    return 0;
}

static dv_result check_type(dv_checker *checker, const dv_schema *schema, const json_t *value)
{
    static const char *const names[] = {"a string", "a whole number", "a number", "true or false",
                                        "a list",   "an object",      "null"};
    if ((type_of(value) & schema->types) != 0) {
        return DV_OK;
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if ((schema->types & (1u << i)) != 0) {
            char what[48];
            snprintf(what, sizeof(what), "must be %s", names[i]);
            return refuse(checker, what);
        }
    }
    return refuse(checker, "has no possible value");
}

static dv_result check_format(dv_checker *checker, const dv_schema *schema, dv_slice text)
{
    dv_uuid uuid;
    dv_time time;
    switch (schema->format) {
    case DV_FORMAT_NONE:
        return DV_OK;
    case DV_FORMAT_UUID:
        return dv_uuid_parse(text, &uuid) == DV_OK ? DV_OK : refuse(checker, "must be a UUID");
    case DV_FORMAT_DATE_TIME:
        return dv_time_parse(text, &time) == DV_OK
                   ? DV_OK
                   : refuse(checker, "must be a time as 2026-01-31T23:59:59Z (RFC 3339)");
    case DV_FORMAT_DURATION:
        return dv_duration_parse(text, &time) == DV_OK
                   ? DV_OK
                   : refuse(checker, "must be a duration such as 30s, 15m, 12h or 90d");
    }
    return DV_ERR_INTERNAL;
}

/* Errors: DV_ERR_NO_MEMORY; a text that costs too much to match does not. */
static dv_result match_pattern(const char *pattern, dv_slice text, bool *ret_matches)
{
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &number, &offset, NULL);
    pcre2_match_data *data = code != NULL ? pcre2_match_data_create(1, NULL) : NULL;
    pcre2_match_context *context = data != NULL ? pcre2_match_context_create(NULL) : NULL;
    int outcome = PCRE2_ERROR_NOMEMORY;
    if (context != NULL) {
        pcre2_set_match_limit(context, PATTERN_MATCH_LIMIT);
        outcome = pcre2_match(code, text.ptr, text.len, 0, 0, data, context);
    }
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    *ret_matches = outcome >= 0;
    return outcome == PCRE2_ERROR_NOMEMORY ? DV_ERR_NO_MEMORY : DV_OK;
}

static size_t count_code_points(dv_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += (text.ptr[i] & 0xc0) != 0x80;
    }
    return count;
}

static dv_result check_length(dv_checker *checker, const dv_schema *schema, size_t len,
                              const char *unit)
{
    char what[96];
    if (len < schema->min_length) {
        snprintf(what, sizeof(what), "must have at least %" PRIu32 " %s", schema->min_length, unit);
        return refuse(checker, what);
    }
    if (len > schema->max_length) {
        snprintf(what, sizeof(what), "must have at most %" PRIu32 " %s", schema->max_length, unit);
        return refuse(checker, what);
    }
    return DV_OK;
}

static dv_result check_choice(dv_checker *checker, const dv_schema *schema, const char *text)
{
    char what[256] = "must be one of ";
    for (const char *const *choice = schema->choices; *choice != NULL; choice++) {
        if (strcmp(*choice, text) == 0) {
            return DV_OK;
        }
        size_t len = strlen(what);
        snprintf(what + len, sizeof(what) - len, "%s%s", choice == schema->choices ? "" : ", ",
                 *choice);
    }
    return refuse(checker, what);
}

static dv_result check_string(dv_checker *checker, const dv_schema *schema, const json_t *value)
{
    dv_slice text = dv_slice_of(json_string_value(value), json_string_length(value));
    DV_TRY(check_length(checker, schema, count_code_points(text), "characters"));
    if (schema->choices != NULL) {
        DV_TRY(check_choice(checker, schema, json_string_value(value)));
    }
    DV_TRY(check_format(checker, schema, text));
    bool matches = true;
    if (schema->pattern != NULL) {
        DV_TRY(match_pattern(schema->pattern, text, &matches));
    }
    if (!matches) {
        char what[200];
        snprintf(what, sizeof(what), "must match %s", schema->pattern);
        return refuse(checker, what);
    }
    return DV_OK;
}

static dv_result check_number(dv_checker *checker, const dv_schema *schema, const json_t *value)
{
    bool low, high;
    if (json_is_integer(value)) {
        low = json_integer_value(value) < schema->minimum;
        high = json_integer_value(value) > schema->maximum;
    } else {
        low = json_real_value(value) < (double)schema->minimum;
        high = json_real_value(value) > (double)schema->maximum;
    }
    char what[64];
    if (low) {
        snprintf(what, sizeof(what), "must be at least %" PRId64, schema->minimum);
        return refuse(checker, what);
    }
    if (high) {
        snprintf(what, sizeof(what), "must be at most %" PRId64, schema->maximum);
        return refuse(checker, what);
    }
    return DV_OK;
}

static dv_result check_array(dv_checker *checker, const dv_schema *schema, json_t *value)
{
    size_t count = json_array_size(value);
    DV_TRY(check_length(checker, schema, count, "entries"));
    for (size_t i = 0; i < count; i++) {
        char number[NUMBER_TEXT_MAX];
        snprintf(number, sizeof(number), "%zu", i);
        size_t back = enter(checker, number);
        DV_TRY(check(checker, schema->items, json_array_get(value, i)));
        for (size_t j = 0; schema->unique && j < i; j++) {
            if (json_equal(json_array_get(value, i), json_array_get(value, j))) {
                return refuse(checker, "stands twice");
            }
        }
        checker->field[back] = '\0';
    }
    return DV_OK;
}

static dv_result check_field(dv_checker *checker, const dv_schema_field *field, json_t *object)
{
    json_t *value = json_object_get(object, field->name);
    size_t back = enter(checker, field->name);
    if (value == NULL && field->required) {
        return refuse(checker, "is missing");
    }
    if (value == NULL && field->schema->default_json != NULL) {
        json_t *made = json_loads(field->schema->default_json, JSON_DECODE_ANY, NULL);
        if (made == NULL || json_object_set_new(object, field->name, made) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    } else if (value != NULL) {
        DV_TRY(check(checker, field->schema, value));
    }
    checker->field[back] = '\0';
    return DV_OK;
}

static bool is_declared(const dv_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result check_others(dv_checker *checker, const dv_schema *schema, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (is_declared(schema, name)) {
            continue;
        }
        size_t back = enter(checker, name);
        if (schema->others == NULL) {
            return refuse(checker, "is unknown");
        }
        DV_TRY(check(checker, schema->others, value));
        checker->field[back] = '\0';
    }
    return DV_OK;
}

static dv_result check_object(dv_checker *checker, const dv_schema *schema, json_t *value)
{
    DV_TRY(check_length(checker, schema, json_object_size(value), "fields"));
    DV_TRY(check_others(checker, schema, value));
    for (size_t i = 0; i < schema->field_count; i++) {
        DV_TRY(check_field(checker, &schema->fields[i], value));
    }
    return DV_OK;
}

static dv_result check(dv_checker *checker, const dv_schema *schema, json_t *value)
{
    DV_TRY(check_type(checker, schema, value));
    switch (json_typeof(value)) {
    case JSON_STRING:
        return check_string(checker, schema, value);
    case JSON_INTEGER:
    case JSON_REAL:
        return check_number(checker, schema, value);
    case JSON_ARRAY:
        return check_array(checker, schema, value);
    case JSON_OBJECT:
        return check_object(checker, schema, value);
    default:
        return DV_OK;
    }
}

dv_result dv_check_value(const dv_schema *schema, json_t *value, char field[DV_FIELD_MAX],
                         dv_error *error)
{
    dv_checker checker = {field, error};
    return check(&checker, schema, value);
}

static dv_result read_integer(dv_slice text, json_t **ret_value, dv_error *error)
{
    char digits[NUMBER_TEXT_MAX];
    size_t sign = dv_slice_starts_with(text, DV_LIT("-"));
    bool sound = text.ptr != NULL && text.len > sign && text.len < sizeof(digits);
    for (size_t i = sign; sound && i < text.len; i++) {
        sound = text.ptr[i] >= '0' && text.ptr[i] <= '9';
    }
    if (!sound) {
        return dv_error_set(error, DV_ERR_INVALID, "must be a whole number");
    }
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    json_error_t detail;
    json_t *value = json_loads(digits, JSON_DECODE_ANY, &detail); /* knows overflow, refuses 007 */
    if (value == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "must be a whole number that fits");
    }
    *ret_value = value;
    return DV_OK;
}

static dv_result read_array(const dv_schema *schema, dv_slice text, json_t **ret_value,
                            dv_error *error)
{
    json_t *list = json_array();
    dv_slice rest = text, part;
    while (text.len > 0 && dv_slice_split(&rest, ',', &part)) {
        json_t *item = NULL;
        dv_result result = dv_check_read(schema->items, part, &item, error);
        if (result != DV_OK || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return result != DV_OK ? result : DV_ERR_NO_MEMORY;
        }
    }
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_value = list;
    return DV_OK;
}

dv_result dv_check_read(const dv_schema *schema, dv_slice text, json_t **ret_value, dv_error *error)
{
    if (!dv_utf8_valid(text) ||
        memchr(text.ptr != NULL ? text.ptr : (const void *)"", 0, text.len)) {
        return dv_error_set(error, DV_ERR_INVALID, "must be UTF-8 text without NUL");
    }
    if ((schema->types & (DV_SCHEMA_INTEGER | DV_SCHEMA_NUMBER)) != 0) {
        return read_integer(text, ret_value, error);
    }
    if ((schema->types & DV_SCHEMA_BOOLEAN) != 0) {
        bool truth = dv_slice_eq_str(text, "true");
        if (!truth && !dv_slice_eq_str(text, "false")) {
            return dv_error_set(error, DV_ERR_INVALID, "must be true or false");
        }
        *ret_value = json_boolean(truth);
        return DV_OK;
    }
    if ((schema->types & DV_SCHEMA_ARRAY) != 0) {
        return read_array(schema, text, ret_value, error);
    }
    json_t *value = json_stringn((const char *)text.ptr, text.len);
    if (value == NULL && text.len == 0) {
        value = json_string("");
    }
    if (value == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_value = value;
    return DV_OK;
}
