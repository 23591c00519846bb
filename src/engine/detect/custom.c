/* SPDX-License-Identifier: Apache-2.0 */
/* Users' detectors: compiling, and searching with them.
 *
 * 1. PCRE2 alone finds values: every start is tried. vectorscan reads an expression to tell how
 * long its values get, and is not asked where they are: what its 5.4.9 makes of expressions that
 *    nobody looked at overlooks some of their values (ADR 56).
 * 2. All that is asked of a value stands before or within it, and at most DV_CUSTOM_BEHIND bytes
 *    behind: what a stream holds back is what a pattern calls a partial match. */
#include "engine/detect/custom_private.h"

#include "base/caps.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    CUSTOM_ARENA = 1 << 20,
    CODE_MAX = 256 << 10,               /* bytes of a compiled pattern */
    TRIAL_SECONDS = 4,                  /* of the processor, that a file may be tried */
    TRIAL = 2 * DV_CUSTOM_LONGEST + 64, /* bytes of a text that a pattern is tried on */
    STRETCHED = 64,
    PIECE = 4 << 10,     /* starts that are tried at once */
    HURRIED_STEPS = 256, /* at one place, on the event loop */
    HS_FLAGS = HS_FLAG_PREFILTER | HS_FLAG_MULTILINE,
};

/* ---- those that live ---- */

static pthread_mutex_t living_lock = PTHREAD_MUTEX_INITIALIZER;
static dv_detect_custom *living;
static uint64_t last_serial;

size_t dv_detect_custom_count(const dv_detect_custom *custom)
{
    return custom == NULL ? 0 : custom->count;
}

const dv_detector_info *dv_detect_custom_info(const dv_detect_custom *custom, size_t bit)
{
    size_t index = bit - DV_CUSTOM_FIRST;
    return bit >= DV_CUSTOM_FIRST && index < dv_detect_custom_count(custom)
               ? &custom->rules[index].info
               : NULL;
}

ptrdiff_t dv_detect_custom_index(const dv_detect_custom *custom, const char *id)
{
    for (size_t i = 0; i < dv_detect_custom_count(custom); i++) {
        if (strcmp(custom->rules[i].info.id, id) == 0) {
            return (ptrdiff_t)(DV_CUSTOM_FIRST + i);
        }
    }
    return -1;
}

uint64_t dv_detect_custom_serial(const dv_detect_custom *custom)
{
    return custom == NULL ? 0 : custom->serial;
}

dv_slice dv_detect_custom_text(const dv_detect_custom *custom)
{
    return custom->text;
}

void dv_custom_destroy(dv_detect_custom *custom)
{
    if (custom == NULL) {
        return;
    }
    for (size_t i = 0; i < DV_CUSTOM_MAX; i++) {
        pcre2_code_free(custom->rules[i].code);
        pcre2_code_free(custom->rules[i].context);
    }
    dv_arena_free(custom->arena);
    free(custom);
}

void dv_detect_custom_free(dv_detect_custom *custom)
{
    if (custom == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&living_lock);
    bool last = --custom->users == 0;
    for (dv_detect_custom **at = &living; last && *at != NULL; at = &(*at)->next) {
        if (*at == custom) {
            *at = custom->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&living_lock);
    if (last) {
        dv_custom_destroy(custom);
    }
}

static dv_detect_custom *find_living(dv_slice text)
{
    dv_detect_custom *found = living;
    while (found != NULL && !dv_slice_eq(found->text, text)) {
        found = found->next;
    }
    if (found != NULL) {
        found->users++;
    }
    return found;
}

/* ---- compiling ---- */

static dv_result refuse_pattern(const dv_custom_rule *rule, dv_error *error, const char *why)
{
    return dv_error_set_at(error, DV_ERR_INVALID, rule->line, 0, "detector %s: %s", rule->info.id,
                           why);
}

static dv_result compile_code(const dv_custom_rule *rule, const char *text, uint32_t options,
                              pcre2_code **ret_code, dv_error *error)
{
    int failure = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR message[128] = "";
    char why[256];
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C | options,
                                     &failure, &at, NULL);
    if (code == NULL) {
        (void)pcre2_get_error_message(failure, message, sizeof(message));
        (void)snprintf(why, sizeof(why), "'match' is no expression: %s at its byte %zu", message,
                       at);
        return refuse_pattern(rule, error, why);
    }
    *ret_code = code; /* the rule's, whatever comes */
    if (pcre2_jit_compile(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) != 0) {
        return refuse_pattern(rule, error, "PCRE2 can not compile its pattern");
    }
    return DV_OK;
}

static uint32_t info_of(const pcre2_code *code, uint32_t what)
{
    uint32_t value = 0;
    (void)pcre2_pattern_info(code, what, &value);
    return value;
}

/* How long what an expression matches may be. */
static dv_result read_widths(const dv_custom_rule *rule, const char *text, size_t *ret_shortest,
                             size_t *ret_longest, dv_error *error)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *failure = NULL;
    unsigned flags = HS_FLAGS | (rule->caseless ? HS_FLAG_CASELESS : 0);
    if (hs_expression_info(text, flags, &info, &failure) != HS_SUCCESS) {
        char why[256];
        (void)snprintf(why, sizeof(why), "'match' can not be searched for: %.180s",
                       failure != NULL ? failure->message : "no memory");
        (void)hs_free_compile_error(failure);
        return refuse_pattern(rule, error, why);
    }
    *ret_shortest = info->min_width;
    *ret_longest = info->max_width;
    free(info);
    return DV_OK;
}

/* What values may look like: bounded, and neither tiny nor of any text. */
static dv_result check_shape(dv_custom_rule *rule, dv_error *error)
{
    size_t shortest = 0, with_ahead = 0, size = 0;
    DV_TRY(read_widths(rule, rule->match, &shortest, &rule->longest, error));
    if (rule->longest > DV_CUSTOM_LONGEST) {
        return refuse_pattern(rule, error,
                              "its values have no greatest length of 512 bytes or fewer: use "
                              "{1,20} and the like in place of + and *");
    }
    if (shortest < DV_CUSTOM_SHORTEST) {
        return refuse_pattern(rule, error, "its values may have fewer than 4 bytes");
    }
    DV_TRY(read_widths(rule, rule->ahead, &shortest, &with_ahead, error));
    if (info_of(rule->code, PCRE2_INFO_MAXLOOKBEHIND) > DV_CUSTOM_BEHIND ||
        with_ahead > rule->longest + DV_CUSTOM_BEHIND) {
        return refuse_pattern(rule, error, "it looks behind or ahead more than 64 bytes");
    }
    (void)pcre2_pattern_info(rule->code, PCRE2_INFO_SIZE, &size);
    return size <= CODE_MAX ? DV_OK : refuse_pattern(rule, error, "it is too large");
}

static dv_result compile_rule(dv_custom_rule *rule, dv_error *error)
{
    uint32_t caseless = rule->caseless ? PCRE2_CASELESS : 0;
    DV_TRY(compile_code(rule, rule->match, PCRE2_MULTILINE | caseless, &rule->code, error));
    DV_TRY(check_shape(rule, error));
    rule->info.max_length = (uint32_t)rule->longest;
    return rule->words == NULL ? DV_OK : compile_code(rule, rule->words, 0, &rule->context, error);
}

dv_result dv_custom_compile(dv_detect_custom *custom, dv_error *error)
{
    for (size_t i = 0; i < custom->count; i++) {
        DV_TRY(compile_rule(&custom->rules[i], error));
        dv_detector_set_add(&custom->set, DV_CUSTOM_FIRST + i);
    }
    return DV_OK;
}

dv_result dv_custom_new(dv_slice text, dv_detect_custom **ret_custom)
{
    dv_detect_custom *custom = calloc(1, sizeof(*custom));
    if (custom == NULL || (custom->arena = dv_arena_new(CUSTOM_ARENA)) == NULL ||
        dv_arena_copy(custom->arena, text, &custom->text) != DV_OK) {
        dv_custom_destroy(custom);
        return DV_ERR_NO_MEMORY;
    }
    custom->users = 1;
    *ret_custom = custom;
    return DV_OK;
}

static dv_result make(dv_slice text, uint64_t serial, dv_detect_custom **ret_custom,
                      dv_error *error)
{
    dv_detect_custom *custom = NULL;
    DV_TRY(dv_custom_new(text, &custom));
    custom->serial = serial;
    dv_result result = dv_custom_parse_text(custom, error);
    if (result == DV_OK) {
        result = dv_custom_compile(custom, error);
    }
    if (result != DV_OK) {
        dv_custom_destroy(custom);
        return result;
    }
    *ret_custom = custom;
    return DV_OK;
}

dv_result dv_detect_custom_take(dv_slice text, dv_detect_custom **ret_custom, dv_error *error)
{
    if (text.len > DV_CUSTOM_MADE_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the detectors are too large");
    }
    (void)pthread_mutex_lock(&living_lock);
    *ret_custom = find_living(text);
    uint64_t serial = ++last_serial;
    (void)pthread_mutex_unlock(&living_lock);
    if (*ret_custom != NULL) {
        return DV_OK;
    }
    DV_TRY(make(text, serial, ret_custom, error));
    (void)pthread_mutex_lock(&living_lock);
    (*ret_custom)->next = living;
    living = *ret_custom;
    (void)pthread_mutex_unlock(&living_lock);
    return DV_OK;
}

void dv_detect_scratch_use(dv_detect_scratch *scratch, const dv_detect_custom *custom)
{
    scratch->custom = custom;
}

/* ---- searching ---- */

/* Runs a pattern over the text until `end`; values begin from `start` to `limit`. Returns what
 * PCRE2 does: fails() tells whether that is a failure. */
static int match_at(dv_search *s, pcre2_code *code, size_t end, size_t start, size_t limit,
                    uint32_t options)
{
    pcre2_set_offset_limit(s->scratch->match, limit);
    pcre2_set_match_limit(s->scratch->match, s->scratch->hurried ? HURRIED_STEPS : DV_CUSTOM_STEPS);
    int rc =
        pcre2_match(code, s->text.ptr, end, start, options, s->scratch->data, s->scratch->match);
    pcre2_set_match_limit(s->scratch->match, DV_DETECT_STEPS_MAX);
    return rc;
}

static bool fails(dv_search *s, int rc)
{
    bool failed = rc < 0 && rc != PCRE2_ERROR_NOMATCH && rc != PCRE2_ERROR_PARTIAL;
    if (failed) {
        s->result =
            rc == PCRE2_ERROR_MATCHLIMIT && s->scratch->hurried ? DV_ERR_AGAIN : DV_ERR_TOO_LARGE;
    }
    return failed;
}

static bool has_words(dv_search *s, const dv_custom_rule *rule, size_t start, bool *ret_has)
{
    size_t begin = start > rule->distance ? start - rule->distance : 0;
    int rc = match_at(s, rule->context, start, begin, start, 0);
    *ret_has = rc >= 0;
    return !fails(s, rc);
}

/* What the value says of itself, and the words before it. *ret_next: where the search goes on. */
static bool judge(dv_search *s, size_t bit, const dv_custom_rule *rule, size_t start, size_t end,
                  size_t *ret_next)
{
    dv_detect_candidate c = {s->text, start, end, false, rule->info.score};
    *ret_next = start + 1;
    if (rule->context != NULL && !has_words(s, rule, start, &c.context)) {
        return false;
    }
    if (end - start < DV_CUSTOM_SHORTEST || (rule->required && !c.context) ||
        (rule->check != NULL && !rule->check(&c))) {
        return true;
    }
    dv_slice value = dv_slice_sub(s->text, c.start, c.end - c.start);
    if (rule->entropy > 0 && dv_detect_entropy(value) < rule->entropy) {
        return true;
    }
    *ret_next = c.end;
    return dv_search_add(s, bit, rule->info.id, &c);
}

/* A NUL ends every value: strings are joined by it. */
static size_t end_at_nul(dv_search *s, size_t begin, size_t end)
{
    const uint8_t *nul = memchr(s->text.ptr + begin, 0, end - begin);
    return nul == NULL ? end : (size_t)(nul - s->text.ptr);
}

/* Tries the pattern's starts from *next to `until`. */
static bool try_starts(dv_search *s, size_t bit, const dv_custom_rule *rule, size_t until,
                       size_t *next)
{
    while (*next < until) {
        if (!dv_search_spend(s, DV_EFFORT_MATCH + (until - *next))) {
            return false;
        }
        size_t end = s->text.len;
        int rc = match_at(s, rule->code, end, *next, until - 1, 0);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->scratch->data);
        if (rc >= 0) {
            end = end_at_nul(s, span[0], span[1]);
        }
        if (rc >= 0 && end < span[1]) { /* as much of it as stands before the NUL */
            size_t start = span[0];
            rc = match_at(s, rule->code, end, start, start, 0);
            if (rc == PCRE2_ERROR_NOMATCH) {
                *next = start + 1;
                continue;
            }
        }
        if (rc < 0) {
            *next = until;
            return !fails(s, rc);
        }
        if (!judge(s, bit, rule, span[0], span[1], next)) {
            return false;
        }
    }
    return true;
}

static bool find_rule(dv_search *s, size_t bit, const dv_custom_rule *rule)
{
    for (size_t next = s->from; next < s->text.len;) {
        if (!try_starts(s, bit, rule, DV_MIN(s->text.len, next + PIECE), &next)) {
            return false;
        }
    }
    return true;
}

dv_result dv_custom_find(dv_search *s)
{
    const dv_detect_custom *custom = s->scratch->custom;
    for (size_t i = 0; i < dv_detect_custom_count(custom); i++) {
        size_t bit = DV_CUSTOM_FIRST + i;
        if (dv_detector_set_has(s->enabled, bit) && !find_rule(s, bit, &custom->rules[i])) {
            return s->result;
        }
    }
    return DV_OK;
}

/* ---- what a stream holds back ---- */

/* The first start at or after `begin` from which the pattern calls for more. */
static bool hold_for(dv_search *s, const dv_custom_rule *rule, size_t begin, size_t *hold)
{
    while (begin < *hold) {
        int rc = match_at(s, rule->code, s->text.len, begin, *hold, PCRE2_PARTIAL_HARD);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->scratch->data);
        if (fails(s, rc)) {
            return false;
        }
        if (rc == PCRE2_ERROR_PARTIAL) {
            *hold = DV_MIN(*hold, (size_t)span[0]);
        }
        if (rc < 0) {
            return true;
        }
        begin = span[0] + 1;
    }
    return true;
}

dv_result dv_custom_hold(dv_search *s, size_t *hold)
{
    const dv_detect_custom *custom = s->scratch->custom;
    if (custom == NULL || !dv_detector_set_meets(s->enabled, &custom->set)) {
        return DV_OK;
    }
    const uint8_t *nul = memrchr(s->text.ptr + s->from, 0, s->text.len - s->from);
    size_t first = nul == NULL ? s->from : (size_t)(nul - s->text.ptr) + 1;
    for (size_t i = 0; i < custom->count; i++) {
        size_t reach = custom->rules[i].longest + DV_CUSTOM_BEHIND;
        size_t begin = s->text.len > reach ? s->text.len - reach : 0;
        if (dv_detector_set_has(s->enabled, DV_CUSTOM_FIRST + i) &&
            !hold_for(s, &custom->rules[i], DV_MAX(begin, first), hold)) {
            return s->result;
        }
    }
    return DV_OK;
}

/* ---- trying ---- */

/* What trying a pattern takes: in the code its own shortcuts are off, which a text may have no use
 * for. */
typedef struct trial {
    double end; /* of the processor's time */
    const dv_custom_rule *rule;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    uint8_t text[TRIAL];
    size_t len;
} trial;

static void trial_end(trial *t)
{
    pcre2_code_free(t->code);
    pcre2_match_data_free(t->data);
    pcre2_match_context_free(t->context);
}

static double processor_seconds(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static dv_result trial_begin(trial *t, const dv_custom_rule *rule, double end)
{
    int failure = 0;
    PCRE2_SIZE at = 0;
    uint32_t options = PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_START_OPTIMIZE |
                       (rule->caseless ? PCRE2_CASELESS : 0);
    *t = (trial){.end = end, .rule = rule};
    t->code =
        pcre2_compile((PCRE2_SPTR)rule->match, PCRE2_ZERO_TERMINATED, options, &failure, &at, NULL);
    t->data = pcre2_match_data_create(1, NULL);
    t->context = pcre2_match_context_create(NULL);
    if (t->code == NULL || t->data == NULL || t->context == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pcre2_set_match_limit(t->context, DV_CUSTOM_STEPS);
    return DV_OK;
}

static void trial_add(trial *t, const uint8_t *bytes, size_t len, size_t until)
{
    for (size_t i = 0; len > 0 && t->len < DV_MIN(until, sizeof(t->text)); i++) {
        t->text[t->len++] = bytes[i % len];
    }
}

/* Asks for every value of the text, and empties it. */
static dv_result trial_run(trial *t, dv_error *error)
{
    int rc = 0;
    for (size_t at = 0; at < t->len && rc >= 0; at++) {
        rc = pcre2_match(t->code, t->text, t->len, at, 0, t->data, t->context);
        at = rc >= 0 ? pcre2_get_ovector_pointer(t->data)[0] : at;
    }
    t->len = 0;
    if (processor_seconds() > t->end) {
        return refuse_pattern(t->rule, error,
                              "trying the file's detectors takes too long: repeat less in this "
                              "one, or give fewer examples");
    }
    return rc >= 0 || rc == PCRE2_ERROR_NOMATCH
               ? DV_OK
               : refuse_pattern(t->rule, error,
                                "its pattern takes too many steps on some texts: do not repeat "
                                "what repeats itself");
}

/* The value with some of its bytes, those from `at`, repeated until it is as long as values get,
 * and without its last byte: a pattern then tries in how many ways it could go on. */
static dv_result try_stretched(trial *t, const uint8_t *value, size_t len, size_t at, size_t width,
                               dv_error *error)
{
    trial_add(t, value, at, at);
    trial_add(t, value + at, width, DV_CUSTOM_LONGEST / 2);
    trial_add(t, value + at + width, len - at - width, t->len + (len - at - width) - 1);
    trial_add(t, (const uint8_t *)"~", 1, t->len + 1);
    return trial_run(t, error);
}

static dv_result try_value(trial *t, const uint8_t *value, size_t len, dv_error *error)
{
    trial_add(t, value, len, TRIAL);
    DV_TRY(trial_run(t, error));
    trial_add(t, value, len - 1, TRIAL);
    DV_TRY(trial_run(t, error));
    for (size_t at = 0; at + 1 < DV_MIN(len, (size_t)STRETCHED); at++) {
        DV_TRY(try_stretched(t, value, len, at, 1, error));
        DV_TRY(at + 2 < len ? try_stretched(t, value, len, at, 2, error) : DV_OK);
    }
    return DV_OK;
}

/* Texts on which patterns that repeat what repeats itself do not come to an end. */
static dv_result try_steps(const dv_custom_rule *rule, double end, dv_error *error)
{
    static const char *const common[] = {"a", "A", "0", " ", "-", "a0", "A0", "a ", "0-", ".", "_"};
    trial t;
    dv_result result = trial_begin(&t, rule, end);
    for (size_t i = 0; i < DV_ARRAY_LEN(common) && result == DV_OK; i++) {
        trial_add(&t, (const uint8_t *)common[i], strlen(common[i]), TRIAL);
        result = trial_run(&t, error);
    }
    for (size_t i = 0; i < rule->info.example_count && result == DV_OK; i++) {
        const dv_detector_example *e = &rule->info.examples[i];
        size_t len = e->end - e->start;
        if (len >= DV_CUSTOM_SHORTEST && len <= DV_CUSTOM_LONGEST) {
            result = try_value(&t, (const uint8_t *)e->text + e->start, len, error);
        }
    }
    trial_end(&t);
    return result;
}

/* What of the text the detector finds, alone. */
static dv_result find_in(const dv_detect_custom *custom, size_t index, const char *text,
                         dv_detect_scratch *scratch, dv_arena *arena, const dv_finding **ret_found,
                         size_t *ret_count)
{
    dv_detector_set one = {{0}};
    dv_search s = {.scratch = scratch, .text = dv_slice_str(text), .enabled = &one, .arena = arena};
    dv_detector_set_add(&one, DV_CUSTOM_FIRST + index);
    DV_TRY(dv_custom_find(&s));
    *ret_found = s.found;
    *ret_count = s.count;
    return DV_OK;
}

static dv_result try_examples(const dv_detect_custom *custom, size_t index,
                              dv_detect_scratch *scratch, dv_arena *arena, dv_error *error)
{
    const dv_custom_rule *rule = &custom->rules[index];
    const dv_finding *found = NULL;
    size_t count = 0;
    char why[256];
    for (size_t i = 0; i < rule->info.example_count; i++) {
        const dv_detector_example *e = &rule->info.examples[i];
        DV_TRY(find_in(custom, index, e->text, scratch, arena, &found, &count));
        if (count != 1 || found[0].start != e->start || found[0].end != e->end) {
            (void)snprintf(why, sizeof(why), "its example %zu is not found as it is marked%s",
                           i + 1, count == 0 ? ": nothing is" : "");
            return refuse_pattern(rule, error, why);
        }
    }
    for (size_t i = 0; i < rule->info.counter_example_count; i++) {
        const dv_detector_example *e = &rule->info.counter_examples[i];
        DV_TRY(find_in(custom, index, e->text, scratch, arena, &found, &count));
        if (count > 0) {
            (void)snprintf(why, sizeof(why), "something is found in its counter-example %zu",
                           i + 1);
            return dv_error_set_at(error, DV_ERR_INVALID, (int)e->start, 0, "detector %s: %s",
                                   rule->info.id, why);
        }
    }
    return DV_OK;
}

/* A scratch without built-in detectors. */
static dv_result bare_scratch(dv_detect_scratch *scratch)
{
    scratch->data = pcre2_match_data_create(1, NULL);
    scratch->match = pcre2_match_context_create(NULL);
    return scratch->data != NULL && scratch->match != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_custom_try(const dv_detect_custom *custom, dv_error *error)
{
    double end = processor_seconds() + TRIAL_SECONDS;
    dv_detect_scratch scratch = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(CUSTOM_ARENA);
    dv_result result = arena != NULL ? bare_scratch(&scratch) : DV_ERR_NO_MEMORY;
    dv_detect_scratch_use(&scratch, custom);
    for (size_t i = 0; i < custom->count && result == DV_OK; i++) {
        result = try_steps(&custom->rules[i], end, error);
        if (result == DV_OK) {
            result = try_examples(custom, i, &scratch, arena, error);
        }
    }
    pcre2_match_data_free(scratch.data);
    pcre2_match_context_free(scratch.match);
    return result;
}
