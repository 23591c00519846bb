/* SPDX-License-Identifier: Apache-2.0 */
#include "data_test.h"

#include "api/operations.h"
#include "core/operation.h"
#include "engine/detect/action/action.h"
#include "engine/detect/detect.h"
#include "room/data/control/data_control.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA = 16 << 20 };

/* ---- masking: ---- */

static dv_result policies_of(const char *yaml, dv_arena *arena, dv_buf *out, dv_error *error)
{
    const dv_yaml *root = NULL;
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, error), DV_OK);
    return dv_data_masking.policies(dv_yaml_get(root, "masking"),
                                    dv_yaml_get(root, "loss_prevention"), NULL, out, error);
}

/* The policy of one direction, as the gate reads it. */
static dv_data_policy *side_of(const dv_buf *json, const char *side, dv_arena *arena)
{
    dv_json tape = json_of(dv_buf_slice(json), arena);
    uint32_t member = dv_json_member(&tape, 0, side);
    assert_int_not_equal(member, 0);
    dv_slice text;
    assert_int_equal(dv_arena_copy(arena, dv_json_raw(&tape, member), &text), DV_OK);
    dv_data_policy *policy = NULL;
    dv_error error = {0};
    if (dv_data_policy_parse(gate, text, &policy, &error) != DV_OK) {
        fail_msg("%s: %.*s", error.message, DV_SLICE_ARGS(text));
    }
    return policy;
}

static void assert_side(const char *yaml, const char *side, const char *text, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    dv_error error = {0};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    assert_int_equal(policies_of(yaml, arena, &json, &error), DV_OK);
    dv_data_policy *policy = side_of(&json, side, arena);
    assert_int_equal(dv_data_gate_text(gate, policy, context_of("u", arena),
                                       strcmp(side, "answer") == 0, dv_slice_str(text), arena,
                                       &outcome, &verdict),
                     DV_OK);
    dv_data_policy_free(policy);
    if (wanted == NULL) {
        assert_int_equal(verdict.reason, DV_REASON_SENSITIVE_DATA);
        return;
    }
    dv_slice head = dv_slice_sub(outcome.body, 0, strlen(wanted));
    assert_text(head, wanted);
}

static void masking_has_defaults(void **state)
{
    assert_side("other: 1\n", "request", "bob@example.com", "<EMAIL_");
    assert_side("other: 1\n", "answer", "bob@example.com", "[EMAIL]");
    assert_side("masking: {}\n", "request", "bob@example.com", "<EMAIL_");
    assert_side("masking: {}\n", "answer", "bob%40example.com", "[EMAIL]");
}

static void masking_says_otherwise(void **state)
{
    const char *yaml = "masking:\n"
                       "  request:\n"
                       "    default: mask\n"
                       "    detectors: {email: alert, payment_card: block}\n"
                       "    off: [ip_address]\n"
                       "  answer: {default: alert}\n";
    assert_side(yaml, "request", "+44 20 7946 0958", "[PHONE ****58]");
    assert_side(yaml, "request", "bob@example.com", "bob@example.com");
    assert_side(yaml, "request", "203.0.113.9", "203.0.113.9");
    assert_side(yaml, "request", "4111111111111111", NULL);
    assert_side(yaml, "answer", "4111111111111111", "4111111111111111");
    assert_side("masking: {}\n", "answer", "My name is John Smith.", "My name is John Smith.");
    assert_side("masking: {names: true}\n", "answer", "My name is John Smith.",
                "My name is [PERSON].");
    assert_side("masking: {names: true, answer: {off: [person]}}\n", "answer",
                "My name is John Smith.", "My name is John Smith.");
    assert_side("masking: {answer: {detectors: {person: redact}}}\n", "answer",
                "My name is John Smith.", "My name is [PERSON].");
    assert_side("masking: {decode: false}\n", "answer", "bob%40example.com", "bob%40example.com");
}

/* What a principal's prompt becomes by the rules. */
static void assert_rule(const char *yaml, const char *side, const char *role, const char *route,
                        const char *text, const char *wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    dv_error error = {0};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    const dv_slice roles[] = {dv_slice_str(role), DV_LIT("Role::\"other\"")};
    const dv_principal principal = {
        .entity = DV_LIT("User::\"ann\""), .ancestors = roles, .ancestor_count = 2};
    if (policies_of(yaml, arena, &json, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    dv_data_policy *policy = side_of(&json, side, arena);
    for (int again = 0; again < 2; again++) { /* made, then kept */
        const dv_data_policy *own = NULL;
        assert_int_equal(dv_data_policy_for(policy, &principal, dv_slice_str(route), arena, &own),
                         DV_OK);
        dv_verdict_reset(&verdict);
        dv_verdict_allow(&verdict, "test");
        assert_int_equal(dv_data_gate_text(gate, own, context_of("u", arena),
                                           strcmp(side, "answer") == 0, dv_slice_str(text), arena,
                                           &outcome, &verdict),
                         DV_OK);
        if (wanted == NULL) {
            assert_int_equal(verdict.reason, DV_REASON_SENSITIVE_DATA);
        } else {
            assert_text(outcome.body, wanted);
        }
    }
    dv_data_policy_free(policy);
}

static void rules_choose_by_role_and_route(void **state)
{
    static const char yaml[] = "masking:\n"
                               "  request: {default: mask}\n"
                               "  rules:\n"
                               "    - {roles: [support], detectors: [email], action: allow}\n"
                               "    - {roles: [intern], categories: [personal], action: block}\n"
                               "    - {routes: [train], labels: [CARD], action: redact}\n"
                               "    - {groups: [ml], users: [bob], action: alert}\n"
                               "    - {roles: [auditor], action: redact, direction: answer}\n"
                               "    - {roles: [chief], action: alert, override: true}\n"
                               "    - {roles: [chief], action: block}\n";
    static const char text[] = "bob@example.com 4111111111111111";
    assert_rule(yaml, "request", "Role::\"none\"", "chat", text, "[EMAIL] [CARD ****1111]");
    assert_rule(yaml, "request", "Role::\"support\"", "chat", text,
                "bob@example.com [CARD ****1111]");
    assert_rule(yaml, "request", "Role::\"support\"", "train", text, "bob@example.com [CARD]");
    assert_rule(yaml, "request", "Role::\"intern\"", "chat", text, NULL);
    assert_rule(yaml, "request", "Role::\"intern\"", "chat", "4111111111111111", "[CARD ****1111]");
    assert_rule(yaml, "request", "Group::\"ml\"", "chat", text, text);
    assert_rule(yaml, "request", "Role::\"ml\"", "chat", text, "[EMAIL] [CARD ****1111]");
    assert_rule(yaml, "request", "Role::\"auditor\"", "chat", text, "[EMAIL] [CARD ****1111]");
    assert_rule(yaml, "answer", "Role::\"auditor\"", "chat", text, "[EMAIL] [CARD]");
    assert_rule(yaml, "request", "Role::\"chief\"", "train", text, text);
}

/* Of several rules the strictest counts, in whatever order they stand. */
static void the_strictest_rule_counts(void **state)
{
    static const char *const actions[] = {"allow", "alert",  "placeholder",
                                          "mask",  "redact", "block"};
    static const char *const wanted[] = {"4111111111111111", "4111111111111111", "<CARD_",
                                         "[CARD ****1111]",  "[CARD]",           NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(actions); i++) {
        for (size_t k = 0; k < DV_ARRAY_LEN(actions); k++) {
            dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
            size_t most = DV_MAX(i, k);
            const char *yaml =
                dv_arena_printf(arena,
                                "masking:\n"
                                "  rules:\n"
                                "    - {roles: [a], direction: request, action: %s}\n"
                                "    - {roles: [other], direction: request, "
                                "action: %s}\n",
                                actions[i], actions[k]);
            if (most != 2) {
                assert_rule(yaml, "request", "Role::\"a\"", "chat", "4111111111111111",
                            wanted[most]);
            }
        }
    }
}

/* ---- actions of the engine, and their key ---- */

static const char *made_of(dv_action action, const char *text, dv_arena *arena)
{
    static const uint8_t key[32] = {4, 5, 6}; /* of gate_set_up */
    dv_auto(action_tools) dv_action_tools *tools = NULL;
    dv_auto(buf) dv_buf made = dv_buf_init(1 << 10);
    const dv_action_value value = {.text = dv_slice_str(text), .label = "KIND"};
    assert_int_equal(dv_action_tools_new(key, NULL, &tools), DV_OK);
    assert_int_equal(dv_action_apply(tools, &action, &value, &made), DV_OK);
    return dv_arena_printf(arena, "%.*s", (int)made.len, (const char *)made.ptr);
}

static void actions_of_the_engine_reach_the_gate(void **state)
{
    static const char yaml[] =
        "masking:\n"
        "  date_order: mdy\n"
        "  request:\n"
        "    default: pseudonym\n"
        "    detectors:\n"
        "      payment_card: {action: fpe, keep_first: 6, keep_last: 4, luhn: true}\n"
        "      date_of_birth: date_shift\n"
        "  answer: {default: hash, detectors: {email: {action: mask}}}\n"
        "  rules:\n"
        "    - {roles: [analyst], detectors: [email], action: {action: hash, length: 24}}\n"
        "    - {roles: [intern], detectors: [email], action: generalise, direction: request}\n";
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const char *mail = "bob@example.com", *card = "4111111111111111";
    const dv_action hash = {.kind = DV_ACT_HASH, .length = 24, .order = DV_DATE_MDY};
    const dv_action fpe = {
        .kind = DV_ACT_FPE, .keep_first = 6, .keep_last = 4, .keep_said = true, .luhn = true};
    const dv_action shift = {.kind = DV_ACT_DATE_SHIFT, .order = DV_DATE_MDY};
    assert_rule(yaml, "request", "Role::\"none\"", "chat", mail,
                made_of((dv_action){.kind = DV_ACT_PSEUDONYM}, mail, arena));
    assert_rule(yaml, "request", "Role::\"none\"", "chat", card, made_of(fpe, card, arena));
    assert_rule(yaml, "request", "Role::\"none\"", "chat", "date of birth: 02/03/1980",
                dv_arena_printf(arena, "date of birth: %s", made_of(shift, "02/03/1980", arena)));
    assert_rule(yaml, "request", "Role::\"analyst\"", "chat", mail, made_of(hash, mail, arena));
    assert_rule(yaml, "request", "Role::\"intern\"", "chat", mail, "@example.com");
    assert_rule(yaml, "answer", "Role::\"intern\"", "chat", mail, "[EMAIL]");
    assert_rule(yaml, "answer", "Role::\"none\"", "chat", card,
                made_of((dv_action){.kind = DV_ACT_HASH}, card, arena));
}

/* Under the installation's own key nobody could open them. */
static void tokens_want_a_key_of_their_own(void **state)
{
    static const char *const sections[] = {
        "  request: {default: token}\n",
        "  answer: {detectors: {email: token}}\n",
        "  rules: [{action: token, roles: [support]}]\n",
        "  rules: [{action: {action: token, sealed: true}, roles: [support]}]\n",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(sections); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_auto(buf) dv_buf json = dv_buf_init(64 << 10), keyed = dv_buf_init(64 << 10);
        dv_error error = {0};
        assert_int_equal(
            policies_of(dv_arena_printf(arena, "masking:\n%s", sections[i]), arena, &json, &error),
            DV_ERR_INVALID);
        assert_non_null(strstr(error.message, "'token' wants 'key_file'"));
        assert_int_equal(error.line, 2);
        assert_int_equal(
            policies_of(dv_arena_printf(arena, "masking:\n  key_file: /k\n%s", sections[i]), arena,
                        &keyed, &error),
            DV_OK);
        assert_non_null(strstr(dv_buf_cstr(&keyed), "\"token\""));
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    dv_error error = {0};
    assert_int_equal(policies_of("masking: {request: {default: {action: mask, sealed: true}}}\n",
                                 arena, &json, &error),
                     DV_ERR_INVALID);
    assert_int_equal(policies_of("masking: {request: {default: {action: hash, sealed: true}}}\n",
                                 arena, &json, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "sealed is for tokens"));
    assert_int_equal(policies_of("masking:\n  key_file: /k\n"
                                 "  request: {default: {action: token, sealed: false}}\n",
                                 arena, &json, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "always sealed"));
    assert_int_equal(error.line, 3);
}

static dv_result read_key(const char *path, uint8_t key[32], bool *ret_said, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_yaml *root = NULL;
    const char *yaml = path == NULL ? "masking: {names: true}\n"
                                    : dv_arena_printf(arena, "masking:\n  key_file: %s\n", path);
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, error), DV_OK);
    const dv_yaml *section = dv_yaml_get(root, "masking");
    dv_result result = dv_data_masking.key(section, key, ret_said, error);
    dv_error checked = {0};
    assert_int_equal(dv_data_config_masking.check(section, &checked), result);
    assert_int_equal(checked.line, result == DV_OK ? 0 : error->line);
    return result;
}

static void the_key_is_a_file_of_its_owner(void **state)
{
    static const char text[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    char path[] = "/tmp/dvara-masking-key-XXXXXX";
    uint8_t key[32] = {0xFF};
    bool said = true;
    dv_error error = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(read_key(NULL, key, &said, &error), DV_OK);
    assert_true(!said && key[0] == 0xFF);
    assert_int_equal(read_key(path, key, &said, &error), DV_ERR_INVALID); /* empty */
    assert_int_equal(error.line, 2);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(read_key(path, key, &said, &error), DV_OK);
    assert_true(said && key[0] == 0 && key[31] == 31);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(read_key(path, key, &said, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "others may read it"));
    assert_null(strstr(error.message, "0405"));
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(read_key(path, key, &said, &error), DV_ERR_INVALID);
    assert_int_equal(read_key("masking.key", key, &said, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "whole path"));
}

static void bad_masking_names_its_line(void **state)
{
    static const struct {
        const char *yaml;
        int line;
    } bad[] = {
        {"masking: []\n", 1},
        {"masking:\n  requests: {}\n", 2},
        {"masking:\n  decode: maybe\n", 2},
        {"masking:\n  names: some\n", 2},
        {"masking:\n  rules: {}\n", 2},
        {"masking:\n  rules:\n    - block\n", 3},
        {"masking:\n  rules:\n    - {roles: [a]}\n", 3},
        {"masking:\n  rules:\n    - {roles: [a], action: hide}\n", 3},
        {"masking:\n  rules:\n    - {roles: a, action: mask}\n", 3},
        {"masking:\n  rules:\n    - {roles: [], action: allow}\n", 3},
        {"masking:\n  rules:\n    - {roles: ['a\"b'], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {detectors: [emial], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {detectors: [email, email], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {roles: [a, b, a], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {categories: [privat], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {labels: [KARD], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {direction: both, action: mask}\n", 3},
        {"masking:\n  rules:\n    - {role: [a], action: mask}\n", 3},
        {"masking:\n  rules:\n    - {action: placeholder}\n", 3},
        {"masking:\n  rules:\n    - {direction: answer, action: placeholder}\n", 3},
        {"masking:\n  request: []\n", 2},
        {"masking:\n  request:\n    defualt: mask\n", 3},
        {"masking:\n  request:\n    default: hide\n", 3},
        {"masking:\n  request:\n    detectors:\n      emial: mask\n", 4},
        {"masking:\n  request:\n    detectors: [email]\n", 3},
        {"masking:\n  request:\n    off: email\n", 3},
        {"masking:\n  request:\n    off:\n      - nothing\n", 4},
        {"masking:\n  answer:\n    default: placeholder\n", 3},
        {"masking:\n  answer:\n    default: monitor\n", 3},
        {"masking:\n  answer:\n    default: {length: 8}\n", 3},
        {"masking:\n  answer:\n    default: {action: mask, length: 8}\n", 3},
        {"masking:\n  answer:\n    default: {action: hash, length: 7}\n", 3},
        {"masking:\n  answer:\n    default: {action: hash, size: 8}\n", 3},
        {"masking:\n  answer:\n    default: {action: fpe, luhn: true, letters: true}\n", 3},
        {"masking:\n  answer:\n    default: {action: placeholder}\n", 3},
        {"masking:\n  answer:\n    default: [hash]\n", 3},
        {"masking:\n  date_order: ymd\n", 2},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
        dv_error error = {0};
        const dv_yaml *root = NULL;
        assert_int_equal(policies_of(bad[i].yaml, arena, &json, &error), DV_ERR_INVALID);
        if (error.line != bad[i].line) {
            fail_msg("line %d, not %d: %s", error.line, bad[i].line, error.message);
        }
        assert_int_equal(dv_yaml_parse(dv_slice_str(bad[i].yaml), arena, &root, &error), DV_OK);
        assert_int_equal(dv_data_config_masking.check(dv_yaml_get(root, "masking"), &error),
                         DV_ERR_INVALID);
    }
}

/* ---- loss_prevention: ---- */

/* How many values of a text the first volume of a side counts; -1: there is none. */
static int counted(const char *yaml, const char *side, const char *text)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf json = dv_buf_init(64 << 10);
    dv_error error = {0};
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    if (policies_of(yaml, arena, &json, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    bool there = dv_slice_find(dv_buf_slice(&json), DV_LIT("\"volumes\":[{")) >= 0;
    dv_data_policy *policy = side_of(&json, side, arena);
    assert_int_equal(dv_data_gate_text(gate, policy, context_of("u", arena),
                                       strcmp(side, "answer") == 0, dv_slice_str(text), arena,
                                       &outcome, &verdict),
                     DV_OK);
    dv_data_policy_free(policy);
    return there ? (int)outcome.values[0] : -1;
}

static void volumes_reach_the_gate(void **state)
{
    static const char text[] = "4111111111111111 bob@example.com";
#define RULE "loss_prevention:\n  volume:\n    - {name: a, values: 5, per: 1h, action: alert"
    assert_int_equal(counted("other: 1\n", "request", text), -1);
    assert_int_equal(counted("loss_prevention: {volume: []}\n", "request", text), -1);
    assert_int_equal(counted(RULE "}\n", "request", text), 2);
    assert_int_equal(counted(RULE ", direction: both}\n", "answer", text), 2);
    assert_int_equal(counted(RULE ", direction: request}\n", "answer", text), 0);
    assert_int_equal(counted(RULE ", direction: response}\n", "answer", text), 2);
    assert_int_equal(counted(RULE ", direction: response}\n", "request", text), 0);
    assert_int_equal(counted(RULE ", categories: [payment]}\n", "request", text), 1);
    assert_int_equal(counted(RULE ", roles: [a], groups: [b], users: [c], services: [d], routes: "
                                  "[chat], labels: [CARD], detectors: [iban]}\n",
                             "request", text),
                     1);
}

static void bad_volumes_name_their_line(void **state)
{
    static const struct {
        const char *rest; /* behind "    - " on line 3 */
        const char *why;
    } bad[] = {
        {"block\n", "at most"},
        {"{values: 5, per: 1h, action: alert}\n", "'name' is missing"},
        {"{name: a, per: 1h, action: alert}\n", "'values' is missing"},
        {"{name: a, values: 5, action: alert}\n", "'per' is missing"},
        {"{name: a, values: 5, per: 1h}\n", "'action' is missing"},
        {"{name: a b, values: 5, per: 1h, action: alert}\n", "no name"},
        {"{name: a, values: 0, per: 1h, action: alert}\n", "values"},
        {"{name: a, values: 1000000001, per: 1h, action: alert}\n", "values"},
        {"{name: a, values: 5, per: 999ms, action: alert}\n", "'per'"},
        {"{name: a, values: 5, per: 367d, action: alert}\n", "'per'"},
        {"{name: a, values: 5, per: 1h, action: mask}\n", "no action of a volume"},
        {"{name: a, values: 5, per: 1h, action: alert, direction: out}\n", "'direction'"},
        {"{name: a, values: 5, per: 1h, action: alert, role: [x]}\n", "role"},
        {"{name: a, values: 5, per: 1h, action: alert, roles: []}\n", "'roles'"},
        {"{name: a, values: 5, per: 1h, action: alert, direction: response, labels: [KARD]}\n",
         "KARD"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
        dv_error error = {0};
        const dv_yaml *root = NULL;
        const char *yaml =
            dv_arena_printf(arena, "loss_prevention:\n  volume:\n    - %s", bad[i].rest);
        assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
        assert_int_equal(dv_data_config_loss.check(dv_yaml_get(root, "loss_prevention"), &error),
                         DV_ERR_INVALID);
        if (error.line != 3 || strstr(error.message, bad[i].why) == NULL) {
            fail_msg("line %d: %s", error.line, error.message);
        }
    }
}

static dv_result check_loss(const char *yaml, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    const dv_yaml *root = NULL;
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, error), DV_OK);
    return dv_data_config_loss.check(dv_yaml_get(root, "loss_prevention"), error);
}

static void volumes_have_names_of_their_own_and_a_limit(void **state)
{
    dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 20);
    dv_error error = {0};
    assert_int_equal(check_loss("loss_prevention: []\n", &error), DV_ERR_INVALID);
    assert_int_equal(check_loss("loss_prevention: {volumes: []}\n", &error), DV_ERR_INVALID);
    assert_int_equal(check_loss("loss_prevention: {volume: {}}\n", &error), DV_ERR_INVALID);
    assert_int_equal(check_loss(RULE "}\n    - {name: a, values: 5, per: 1h, action: block, "
                                     "direction: request}\n",
                                &error),
                     DV_ERR_INVALID);
    assert_int_equal(error.line, 4);
    assert_int_equal(dv_buf_append_str(&yaml, "loss_prevention:\n  volume:\n"), DV_OK);
    for (int i = 0; i <= DV_DATA_VOLUMES_MAX; i++) {
        assert_int_equal(dv_buf_append_printf(
                             &yaml, "    - {name: r%d, values: 5, per: 1h, action: alert}\n", i),
                         DV_OK);
        assert_int_equal(check_loss(dv_buf_cstr(&yaml), &error),
                         i < DV_DATA_VOLUMES_MAX ? DV_OK : DV_ERR_INVALID);
    }
    assert_int_equal(error.line, 3 + DV_DATA_VOLUMES_MAX);
}

/* What the gate would not read is told before it gets it. */
static void too_many_names_are_told(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 20);
    dv_error error = {0};
    const dv_yaml *root = NULL;
    assert_int_equal(
        dv_buf_append_str(&yaml, "masking:\n  rules:\n    - {action: alert, users: [u"), DV_OK);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(dv_buf_append_printf(&yaml, ", user%d", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&yaml, "]}\n"), DV_OK);
    assert_int_equal(dv_yaml_parse(dv_buf_slice(&yaml), arena, &root, &error), DV_OK);
    assert_int_equal(dv_data_config_masking.check(dv_yaml_get(root, "masking"), &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "name groups"));
}

/* ---- operations ---- */

static json_t *call_of(dv_operation_handler handler, json_t *params, json_t *body, dv_result wanted)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    dv_error error = {0};
    dv_call call = {.arena = arena, .params = params, .body = body};
    assert_int_equal(handler(&call, &error), wanted);
    json_decref(params);
    json_decref(body);
    if (wanted != DV_OK) {
        json_decref(call.answer);
        return NULL;
    }
    return call.answer;
}

static void detectors_are_listed_page_by_page(void **state)
{
    const char *cursor = NULL;
    json_t *page = NULL;
    size_t seen = 0;
    do {
        json_t *params = json_pack("{s:i, s:s?}", "limit", 5, "cursor", cursor);
        json_t *next = call_of(dv_op_detector_list, params, NULL, DV_OK);
        json_decref(page);
        page = next;
        const json_t *items = json_object_get(page, "items");
        for (size_t i = 0; i < json_array_size(items); i++) {
            assert_string_equal(json_string_value(json_object_get(json_array_get(items, i), "id")),
                                dv_detect_info(seen++)->id);
        }
        cursor = json_string_value(json_object_get(page, "next"));
    } while (cursor != NULL);
    json_decref(page);
    assert_int_equal(seen, dv_detect_count());
}

static void a_detector_is_shown(void **state)
{
    json_t *answer = call_of(dv_op_detector_show, json_pack("{s:s}", "id", "iban"), NULL, DV_OK);
    assert_string_equal(json_string_value(json_object_get(answer, "label")), "IBAN");
    assert_string_equal(json_string_value(json_object_get(answer, "request_action")),
                        "placeholder");
    assert_true(json_array_size(json_object_get(answer, "examples")) > 0);
    json_decref(answer);
    (void)call_of(dv_op_detector_show, json_pack("{s:s}", "id", "nothing"), NULL, DV_ERR_NOT_FOUND);
}

static void a_text_is_tried(void **state)
{
    json_t *answer =
        call_of(dv_op_detector_test, json_object(),
                json_pack("{s:s}", "text", "é bob@example.com 4111111111111111"), DV_OK);
    const json_t *findings = json_object_get(answer, "findings");
    assert_int_equal(json_array_size(findings), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(findings, 0), "start")), 3);
    assert_string_equal(json_string_value(json_object_get(answer, "masked")),
                        "é [EMAIL] [CARD ****1111]");
    json_decref(answer);

    answer = call_of(dv_op_detector_test, json_object(),
                     json_pack("{s:s, s:[s]}", "text", "bob@example.com 4111111111111111",
                               "detectors", "payment_card"),
                     DV_OK);
    assert_string_equal(json_string_value(json_object_get(answer, "masked")),
                        "bob@example.com [CARD ****1111]");
    json_decref(answer);
    (void)call_of(dv_op_detector_test, json_object(),
                  json_pack("{s:s, s:[s]}", "text", "a", "detectors", "nothing"), DV_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masking_has_defaults),
        cmocka_unit_test(masking_says_otherwise),
        cmocka_unit_test(rules_choose_by_role_and_route),
        cmocka_unit_test(the_strictest_rule_counts),
        cmocka_unit_test(actions_of_the_engine_reach_the_gate),
        cmocka_unit_test(tokens_want_a_key_of_their_own),
        cmocka_unit_test(the_key_is_a_file_of_its_owner),
        cmocka_unit_test(bad_masking_names_its_line),
        cmocka_unit_test(too_many_names_are_told),
        cmocka_unit_test(volumes_reach_the_gate),
        cmocka_unit_test(bad_volumes_name_their_line),
        cmocka_unit_test(volumes_have_names_of_their_own_and_a_limit),
        cmocka_unit_test(detectors_are_listed_page_by_page),
        cmocka_unit_test(a_detector_is_shown),
        cmocka_unit_test(a_text_is_tried),
    };
    return cmocka_run_group_tests(tests, gate_set_up, gate_tear_down);
}
