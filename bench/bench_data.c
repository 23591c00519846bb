/* SPDX-License-Identifier: Apache-2.0 */
/* What inspecting costs: CPU time of one chat body both ways. */

#include "base/caps.h"
#include "base/clock.h"
#include "room/data/gate/data_gate.h"

#include "bench.h"

enum { ROUNDS = 20000, PROSE = 1700, FILE_BYTES = 4 << 20, FORMS = 10 };

static const char prose[] =
    "Sure, here is how the two approaches compare. First, the old scheduler kept one queue for "
    "each worker and moved tasks only when a queue ran empty; in 2019 that cost about 12.5% of "
    "the time. The new one (see section 4.2) shares a ring of 256 slots: `ring[head & 0xff]`. ";

#define RULE(id, match, words, required)                                                           \
    "{\\\"id\\\":\\\"" id                                                                          \
    "\\\",\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"A\\\",\\\"category\\\":\\\"personal\\\","        \
    "\\\"region\\\":\\\"any\\\",\\\"label\\\":\\\"A\\\",\\\"doc\\\":\\\"a\\\",\\\"match\\\":"      \
    "\\\"" match "\\\",\\\"ahead\\\":\\\"" match "\\\",\\\"words\\\":\\\"" words                   \
    "\\\",\\\"check\\\":\\\"\\\",\\\"request\\\":3,\\\"answer\\\":2,\\\"score\\\":80,\\\"keep_"    \
    "last\\\":0,"                                                                                  \
    "\\\"distance\\\":48,\\\"entropy\\\":0,\\\"required\\\":" required ",\\\"caseless\\\":0}"
static const char custom_policy[] = "{\"default\":\"mask\",\"custom\":\"{\\\"detectors\\\":[" RULE(
    "employee", "EMP-[0-9]{6}", "", "0") "," RULE("project", "Project [A-Z][a-z]{3,12}", "",
                                                  "0") "," RULE("patient", "[0-9]{7}",
                                                                "(?i)patient", "1") "]}\"}";

static dv_data_gate *gate;
static dv_data_policy *placeholders;
static dv_data_policy *masks;
static dv_data_policy *decoding; /* masks, and decodes */
static dv_data_policy *naming;   /* masks names, too */
static dv_data_policy *pseudonyms;
static dv_data_policy *tokens;
static dv_data_policy *customs; /* masks, and looks for three detectors of a user */

static void must(dv_result result)
{
    bench_must("bench_data", result);
}

static void make_body(dv_buf *out, const char *value)
{
    must(dv_buf_append_str(out, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
                                "\"You are helpful.\"},{\"role\":\"user\",\"content\":\""));
    while (out->len < PROSE) {
        must(dv_buf_append_str(out, prose));
    }
    must(dv_buf_append_str(out, value));
    must(dv_buf_append_str(out, "\\nThanks!\"}],\"temperature\":0.7,\"max_tokens\":256}"));
}

/* JSON scan and inspection of a body, as the gate does both. */
static void one_body(dv_slice text, const dv_data_policy *policy, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS};
    dv_json json;
    dv_data_context *context = NULL;
    dv_data_outcome outcome = {0};
    dv_verdict verdict = {0};
    must(dv_json_scan(text, &limits, arena, &json, NULL));
    must(dv_data_context_new(gate, DV_LIT("User::\"bench\""), arena, &context));
    must((policy != placeholders ? dv_data_gate_answer : dv_data_gate_request)(
        gate, policy, context, &json, arena, &outcome, &verdict));
}

static void measure_body(const char *name, const char *value, const dv_data_policy *policy)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf body = dv_buf_init(1 << 20);
    make_body(&body, value);
    double start = bench_cpu_time();
    for (size_t i = 0; i < ROUNDS; i++) {
        one_body(dv_buf_slice(&body), policy, arena);
        dv_arena_reset(arena);
    }
    bench_row(name, (bench_cpu_time() - start) / ROUNDS / 1e3, "us", 0);
}

/* A form with one file of FILE bytes, of lines with a value in every 20th. */
static void measure_form(const char *name, bool json, const dv_data_policy *policy)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_REQUEST_ARENA);
    dv_auto(buf) dv_buf form = dv_buf_init(2 * FILE_BYTES);
    must(dv_buf_append_str(&form, "--b\r\nContent-Disposition: form-data; name=\"file\"; "
                                  "filename=\"a\"\r\n\r\n"));
    for (size_t i = 0; form.len < FILE_BYTES; i++) {
        must(dv_buf_append_printf(&form, json ? "{\"n\":%zu,\"text\":\"%s%s\"}\n" : "%zu %s%s\n", i,
                                  prose, i % 20 == 0 ? "bob@example.com" : ""));
    }
    must(dv_buf_append_str(&form, "\r\n--b--\r\n"));
    double start = bench_cpu_time();
    for (size_t i = 0; i < FORMS; i++) {
        dv_data_context *context = NULL;
        dv_data_outcome outcome = {0};
        dv_verdict verdict = {0};
        must(dv_data_context_new(gate, DV_LIT("User::\"bench\""), arena, &context));
        dv_verdict_allow(&verdict, "");
        must(dv_data_gate_form(gate, policy, context, dv_buf_slice(&form), DV_LIT("b"), arena,
                               &outcome, &verdict));
        must(outcome.changed ? DV_OK : DV_ERR_INTERNAL);
        dv_arena_reset(arena);
    }
    double seconds = (bench_cpu_time() - start) / 1e9 / FORMS;
    bench_row(name, (double)form.len / 1e6 / seconds, "MB/s", 0);
}

int main(void)
{
    static const uint8_t key[32] = {1};
    must(dv_data_gate_new(key, NULL, &gate, NULL));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"placeholder\"}"), &placeholders, NULL));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\"}"), &masks, NULL));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\",\"decode\":true}"), &decoding,
                              NULL));
    must(
        dv_data_policy_parse(gate, DV_LIT("{\"default\":\"mask\",\"names\":true}"), &naming, NULL));
    must(dv_data_gate_set_key(gate, key));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"pseudonym\"}"), &pseudonyms, NULL));
    must(dv_data_policy_parse(gate, DV_LIT("{\"default\":\"token\"}"), &tokens, NULL));
    must(dv_data_policy_parse(gate, dv_slice_str(custom_policy), &customs, NULL));
    measure_body("data/request, 1.7 KB", "", placeholders);
    measure_body("data/request, 1.7 KB, two values", "bob@example.com, 4111 1111 1111 1111",
                 placeholders);
    measure_body("data/answer, 1.7 KB", "", masks);
    measure_body("data/answer, 1.7 KB, decoded", "", decoding);
    measure_body("data/answer, 1.7 KB, decoded, one value encoded", "bob%40example.com", decoding);
    measure_body("data/answer, 1.7 KB, names", "", naming);
    measure_body("data/answer, 1.7 KB, names, two of them", "Maria Garcia met John Smith.", naming);
    measure_body("data/answer, 1.7 KB, two pseudonyms", "bob@example.com, 4111 1111 1111 1111",
                 pseudonyms);
    measure_body("data/answer, 1.7 KB, two tokens", "bob@example.com, 4111 1111 1111 1111", tokens);
    measure_body("data/answer, 1.7 KB, three detectors of a user", "", customs);
    measure_body("data/answer, 1.7 KB, the same, one value", "EMP-004711", customs);
    dv_data_policy_free(customs);
    measure_form("data/upload, 4 MB of text", false, masks);
    measure_form("data/upload, 4 MB of text, decoded", false, decoding);
    measure_form("data/upload, 4 MB of lines of JSON, decoded", true, decoding);
    dv_data_policy_free(tokens);
    dv_data_policy_free(pseudonyms);
    dv_data_policy_free(naming);
    dv_data_policy_free(decoding);
    dv_data_policy_free(masks);
    dv_data_policy_free(placeholders);
    dv_data_gate_free(gate);
    return 0;
}
