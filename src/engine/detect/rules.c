/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/detect_rules.h"

#include "base/buf.h"
#include "engine/detect/database.h"

enum {
    JIT_STACK_START = 32 << 10, /* bytes */
    JIT_STACK_MAX = 512 << 10,
    GLUED_PATTERN_MAX = 4096, /* bytes of its spelling */
};

size_t dv_detect_count(void)
{
    return dv_detect_info_count;
}

const dv_detector_info *dv_detect_info(size_t index)
{
    return index < dv_detect_info_count ? &dv_detect_infos[index] : NULL;
}

ptrdiff_t dv_detect_index(const char *id)
{
    for (size_t i = 0; i < dv_detect_info_count; i++) {
        if (strcmp(dv_detect_infos[i].id, id) == 0) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

const dv_detector_set dv_detect_all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                        UINT64_MAX, UINT64_MAX, UINT64_MAX}};

const dv_detector_set *dv_detect_standard(void)
{
    return &dv_detect_standard_set;
}

/* ---- compiling ---- */

static dv_result compile_one(const char *pattern, const char *detector, pcre2_code **ret_code,
                             dv_error *error)
{
    int number = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = pcre2_compile(
        (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
        PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_UTF | PCRE2_DOLLAR_ENDONLY, &number, &offset, NULL);
    if (code == NULL) {
        char message[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)message, sizeof(message));
        return dv_error_set(error, DV_ERR_INVALID, "detector %s: pattern, byte %zu: %s", detector,
                            (size_t)offset, message);
    }
    if (pcre2_jit_compile(code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) != 0) {
        pcre2_code_free(code);
        return dv_error_set(error, DV_ERR_UNSUPPORTED, "detector %s: PCRE2 has no JIT here",
                            detector);
    }
    *ret_code = code;
    return DV_OK;
}

/* The pattern without its border. PCRE2 tells of every prefix that it meets before it reads on. */
static dv_result compile_glued(const dv_detect_pattern *pattern, pcre2_code **ret_code,
                               dv_error *error)
{
    dv_auto(buf) dv_buf spelled = dv_buf_init(GLUED_PATTERN_MAX);
    const char *prefix = pattern->match + pattern->border;
    DV_TRY(dv_buf_append_printf(&spelled, "%.*s(?C1)%s", (int)pattern->prefix, prefix,
                                prefix + pattern->prefix));
    DV_TRY(dv_buf_append_byte(&spelled, '\0'));
    return compile_one((const char *)spelled.ptr, dv_detect_infos[pattern->detector].id, ret_code,
                       error);
}

/* The code of an earlier pattern that reads the same: many services' keys look alike. */
static pcre2_code *same_before(const dv_detect_rules *rules, size_t index)
{
    const char *match = dv_detect_patterns[index].match;
    for (size_t i = 0; i < index; i++) {
        if (strcmp(dv_detect_patterns[i].match, match) == 0) {
            return rules->patterns[i];
        }
    }
    return NULL;
}

static dv_result compile_patterns(dv_detect_rules *rules, dv_error *error)
{
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        rules->patterns[i] = same_before(rules, i);
        if (rules->patterns[i] == NULL) {
            DV_TRY(compile_one(pattern->match, dv_detect_infos[pattern->detector].id,
                               &rules->patterns[i], error));
        }
        if (pattern->border > 0) {
            DV_TRY(compile_glued(pattern, &rules->glued[i], error));
            rules->prefixed |= UINT64_C(1) << dv_detect_rule_table[pattern->detector].bytes;
            dv_detector_set_add(&rules->glueable, pattern->detector);
        }
    }
    DV_TRY(compile_one(dv_detect_link, "(link)", &rules->link, error));
    for (size_t i = 0; i < dv_detect_info_count; i++) {
        const dv_detect_rule *rule = &dv_detect_rule_table[i];
        if (rule->context != NULL) {
            DV_TRY(compile_one(rule->context, dv_detect_infos[i].id, &rules->contexts[i], error));
        }
        if (rule->unless != NULL) {
            DV_TRY(compile_one(rule->unless, dv_detect_infos[i].id, &rules->exceptions[i], error));
        }
    }
    return DV_OK;
}

static void index_patterns(dv_detect_rules *rules)
{
    size_t next = 0;
    for (size_t trigger = 0; trigger < dv_detect_trigger_count; trigger++) {
        rules->first_pattern[trigger] = (uint16_t)next;
        while (next < dv_detect_pattern_count && dv_detect_patterns[next].trigger == trigger) {
            next++;
        }
    }
    rules->first_pattern[dv_detect_trigger_count] = (uint16_t)next;
}

static void index_reaches(dv_detect_rules *rules)
{
    for (size_t trigger = 0; trigger < dv_detect_trigger_count; trigger++) {
        rules->reach[trigger] = UINT16_MAX;
    }
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        uint16_t *reach = &rules->reach[pattern->trigger];
        *reach = (uint16_t)DV_MIN(*reach, pattern->back + pattern->ahead);
    }
}

static void index_bytes(dv_detect_rules *rules)
{
    for (size_t byte = 0; byte < 256; byte++) {
        for (size_t i = 0; i < dv_detect_class_count; i++) {
            uint64_t bits = dv_detect_classes[i][byte / 64];
            rules->may_hold[byte] |= ((bits >> (byte % 64)) & 1) << i;
        }
    }
}

static dv_detect_family family_of(size_t trigger)
{
    dv_detect_family family = DV_FAMILY_SIEVED;
    while (trigger >= dv_detect_family_end[family]) {
        family++;
    }
    return family;
}

static void index_numbers(dv_detect_rules *rules)
{
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        dv_detect_number_rule *number = &rules->numbers[pattern->trigger];
        if (pattern->within) {
            number->classes |= UINT64_C(1) << dv_detect_rule_table[pattern->detector].bytes;
            number->back = DV_MAX(number->back, (size_t)pattern->back);
            number->longest =
                DV_MAX(number->longest, (size_t)dv_detect_infos[pattern->detector].max_length);
        }
    }
    for (size_t i = 0; i < dv_detect_trigger_gram_count; i++) {
        const dv_sieve_gram *gram = &dv_detect_trigger_grams[i];
        rules->sieve_back = DV_MAX(rules->sieve_back, (size_t)gram->back);
        if (rules->numbers[gram->owner].classes != 0) {
            rules->number_grams |= UINT64_C(1) << i;
        }
    }
}

/* What dv_detect_hold asks about a pattern of the literal families before it asks PCRE2. */
static void index_start(dv_detect_rules *rules, size_t index)
{
    const dv_detect_pattern *pattern = &dv_detect_patterns[index];
    size_t bit = index - rules->sieved_patterns;
    size_t *longest = &rules->literal_longest[dv_detect_rule_table[pattern->detector].bytes];
    *longest = DV_MAX(*longest, (size_t)dv_detect_infos[pattern->detector].max_length);
    if (pattern->ahead == 0) {
        dv_bit_add(rules->beginning, bit);
    }
    for (size_t place = 0; place < DV_DETECT_FIRST; place++) {
        const uint64_t *set = dv_sieve_sets[pattern->first[place]];
        for (size_t byte = 0; byte < 256; byte++) {
            if (dv_bit_has(set, byte)) {
                dv_bit_add(&rules->starts[(place * 256 + byte) * rules->start_words], bit);
            }
        }
    }
}

static dv_result index_families(dv_detect_rules *rules)
{
    for (size_t i = 0; i < dv_detect_pattern_count; i++) {
        const dv_detect_pattern *pattern = &dv_detect_patterns[i];
        dv_detect_family family = family_of(pattern->trigger);
        dv_detector_set_add(&rules->families[family], pattern->detector);
        rules->sieved_patterns += family == DV_FAMILY_SIEVED ? 1 : 0;
    }
    rules->start_words = (dv_detect_pattern_count - rules->sieved_patterns + 63) / 64;
    rules->beginning = calloc(rules->start_words + 1, sizeof(uint64_t));
    rules->starts = calloc(DV_DETECT_FIRST * 256, (rules->start_words + 1) * sizeof(uint64_t));
    if (rules->starts == NULL || rules->beginning == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = rules->sieved_patterns; i < dv_detect_pattern_count; i++) {
        index_start(rules, i);
    }
    return DV_OK;
}

static dv_result make_sieve(const dv_sieve_gram *grams, size_t count, dv_sieve **ret_sieve)
{
    dv_sieve *sieve = calloc(1, sizeof(*sieve));
    if (sieve == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_sieve_build(sieve, grams, count);
    *ret_sieve = sieve;
    return DV_OK;
}

static dv_result make_sieves(dv_detect_rules *rules)
{
    if (!dv_sieve_usable()) {
        return DV_OK;
    }
    DV_TRY(make_sieve(dv_detect_trigger_grams, dv_detect_trigger_gram_count, &rules->sieve));
    for (size_t i = 0; i < dv_detect_info_count; i++) {
        const dv_detect_rule *rule = &dv_detect_rule_table[i];
        if (rule->words != NULL) {
            DV_TRY(make_sieve(rule->words, rule->word_count, &rules->words[i]));
        }
    }
    return DV_OK;
}

dv_result dv_detect_rules_builtin(dv_detect_rules **ret_rules, dv_error *error)
{
    dv_auto(detect_rules) dv_detect_rules *rules = calloc(1, sizeof(*rules));
    if (rules == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    rules->patterns = calloc(dv_detect_pattern_count, sizeof(pcre2_code *));
    rules->glued = calloc(dv_detect_pattern_count, sizeof(pcre2_code *));
    rules->contexts = calloc(dv_detect_info_count, sizeof(pcre2_code *));
    rules->exceptions = calloc(dv_detect_info_count, sizeof(pcre2_code *));
    rules->first_pattern = calloc(dv_detect_trigger_count + 1, sizeof(uint16_t));
    rules->reach = calloc(dv_detect_trigger_count, sizeof(uint16_t));
    rules->numbers = calloc(dv_detect_trigger_count, sizeof(*rules->numbers));
    rules->words = calloc(dv_detect_info_count, sizeof(dv_sieve *));
    if (rules->words == NULL || rules->numbers == NULL || rules->patterns == NULL ||
        rules->glued == NULL || rules->contexts == NULL || rules->exceptions == NULL ||
        rules->first_pattern == NULL || rules->reach == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    index_patterns(rules);
    index_reaches(rules);
    index_bytes(rules);
    index_numbers(rules);
    DV_TRY(index_families(rules));
    DV_TRY(make_sieves(rules));
    for (dv_detect_family family = 0; family < DV_FAMILIES; family++) {
        DV_TRY(dv_detect_database_open(dv_detect_made, dv_detect_made_count, family,
                                       &rules->databases[family], error));
    }
    DV_TRY(compile_patterns(rules, error));
    *ret_rules = rules;
    rules = NULL;
    return DV_OK;
}

static void free_codes(pcre2_code **codes, size_t count)
{
    for (size_t i = 0; codes != NULL && i < count; i++) {
        pcre2_code_free(codes[i]);
    }
    free(codes);
}

/* Some of them are the same code. */
static void free_patterns(dv_detect_rules *rules)
{
    for (size_t i = 0; rules->patterns != NULL && i < dv_detect_pattern_count; i++) {
        if (same_before(rules, i) != NULL) {
            rules->patterns[i] = NULL;
        }
    }
    free_codes(rules->patterns, dv_detect_pattern_count);
}

void dv_detect_rules_free(dv_detect_rules *rules)
{
    if (rules == NULL) {
        return;
    }
    free_patterns(rules);
    pcre2_code_free(rules->link);
    free_codes(rules->glued, dv_detect_pattern_count);
    free_codes(rules->contexts, dv_detect_info_count);
    free_codes(rules->exceptions, dv_detect_info_count);
    free(rules->first_pattern);
    free(rules->reach);
    free(rules->numbers);
    free(rules->starts);
    free(rules->beginning);
    free(rules->sieve);
    for (size_t i = 0; rules->words != NULL && i < dv_detect_info_count; i++) {
        free(rules->words[i]);
    }
    free(rules->words);
    for (size_t i = 0; i < DV_FAMILIES; i++) {
        (void)hs_free_database(rules->databases[i]);
    }
    free(rules);
}

/* ---- scratch ---- */

static bool make_contexts(const dv_detect_rules *rules, dv_detect_scratch *scratch)
{
    scratch->data = pcre2_match_data_create(1, NULL);
    scratch->match = pcre2_match_context_create(NULL);
    scratch->words = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    scratch->windows = calloc(dv_detect_pattern_count, sizeof(*scratch->windows));
    scratch->met = calloc(dv_detect_pattern_count, sizeof(*scratch->met));
    scratch->runs = calloc(dv_detect_trigger_count, sizeof(*scratch->runs));
    scratch->touched = calloc(dv_detect_trigger_words(), sizeof(uint64_t));
    scratch->live = calloc(rules->start_words + 1, sizeof(uint64_t));
    scratch->candidates = calloc(rules->start_words + 1, sizeof(uint64_t));
    if (scratch->touched == NULL || scratch->live == NULL || scratch->candidates == NULL ||
        scratch->data == NULL || scratch->match == NULL || scratch->words == NULL ||
        scratch->stack == NULL || scratch->windows == NULL || scratch->met == NULL ||
        scratch->runs == NULL) {
        return false;
    }
    pcre2_jit_stack_assign(scratch->match, NULL, scratch->stack);
    pcre2_set_match_limit(scratch->match, DV_DETECT_STEPS_MAX);
    pcre2_set_match_limit(scratch->words, DV_DETECT_STEPS_MAX);
    return true;
}

dv_result dv_detect_scratch_new(const dv_detect_rules *rules, dv_detect_scratch **ret_scratch)
{
    dv_auto(detect_scratch) dv_detect_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch == NULL || !make_contexts(rules, scratch)) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < DV_FAMILIES; i++) {
        if (rules->databases[i] != NULL &&
            hs_alloc_scratch(rules->databases[i], &scratch->hs) != HS_SUCCESS) {
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_scratch = scratch;
    scratch = NULL;
    return DV_OK;
}

void dv_detect_scratch_hurry(dv_detect_scratch *scratch, uint64_t effort)
{
    scratch->hurried = effort > 0;
    scratch->effort = effort;
}

dv_result dv_detect_scratch_spend(dv_detect_scratch *scratch, uint64_t effort)
{
    if (!scratch->hurried) {
        return DV_OK;
    }
    if (scratch->effort < effort) {
        return DV_ERR_AGAIN;
    }
    scratch->effort -= effort;
    return DV_OK;
}

void dv_detect_scratch_free(dv_detect_scratch *scratch)
{
    if (scratch == NULL) {
        return;
    }
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->match);
    pcre2_match_context_free(scratch->words);
    pcre2_jit_stack_free(scratch->stack);
    (void)hs_free_scratch(scratch->hs);
    free(scratch->windows);
    free(scratch->met);
    free(scratch->runs);
    free(scratch->touched);
    free(scratch->live);
    free(scratch->candidates);
    free(scratch);
}
