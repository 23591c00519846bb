/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "daemon/config_internal.h"

#include <arpa/inet.h>

/* `firewall_rules:` and `networks:`: read and checked whole, in the form that packet filtering will
 * apply (first match decides). Of Dvara's own ports the gate enforces them itself. */

enum {
    DV_RULES_MAX = 1024,
    DV_NETWORKS_MAX = 256,
    DV_NETWORK_ADDRESSES_MAX = 1024,
};

static const char *const rule_keys[] = {"name", "port", "protocol", "source", "action", NULL};
static const char *const rule_protocols[] = {"tcp", "udp", "icmp", "*", NULL};
static const char *const rule_actions[] = {"allow", "deny", NULL};

static bool is_any(const char *text)
{
    return strcmp(text, "*") == 0;
}

/* Are the bits behind the prefix all zero? */
static bool host_bits_clear(const uint8_t *address, size_t bytes, unsigned prefix)
{
    for (size_t bit = prefix; bit < bytes * 8; bit++) {
        if ((address[bit / 8] & (0x80u >> (bit % 8))) != 0) {
            return false;
        }
    }
    return true;
}

static bool parse_prefix(const char *text, unsigned max, unsigned *ret_prefix)
{
    size_t len = strlen(text);
    if (len == 0 || len > 3 || strspn(text, "0123456789") != len) {
        return false;
    }
    unsigned long value = strtoul(text, NULL, 10);
    if (value > max) {
        return false;
    }
    *ret_prefix = (unsigned)value;
    return true;
}

/* An address, or a network in CIDR form (RFC 4632 section 3.1, RFC 4291 section 2.3). NULL when it
 * is good, else what is wrong. */
static const char *address_fault(const char *text)
{
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (len == 0 || len >= sizeof address) {
        return "is no address or network";
    }
    memcpy(address, text, len);
    address[len] = '\0';
    uint8_t bytes[16];
    bool ipv4 = inet_pton(AF_INET, address, bytes) == 1;
    if (!ipv4 && inet_pton(AF_INET6, address, bytes) != 1) {
        return "is no address or network";
    }
    unsigned prefix = ipv4 ? 32 : 128;
    if (slash != NULL && !parse_prefix(slash + 1, prefix, &prefix)) {
        return ipv4 ? "has no prefix length of 0 to 32" : "has no prefix length of 0 to 128";
    }
    if (!host_bits_clear(bytes, ipv4 ? 4 : 16, prefix)) {
        return "has bits set behind its prefix";
    }
    return NULL;
}

static bool looks_like_address(const char *text)
{
    return strchr(text, '/') != NULL || strchr(text, ':') != NULL ||
           strspn(text, "0123456789.") == strlen(text);
}

static dv_result check_address(const dv_yaml *node, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    const char *fault = address_fault(text);
    return fault == NULL ? DV_OK : dv_config_error(node, error, "'%.64s' %s", text, fault);
}

static bool is_network_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= DV_LIMIT_NAME && !looks_like_address(name) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == len;
}

static dv_result check_network(const dv_yaml *network, dv_error *error)
{
    if (!is_network_name(network->key)) {
        return dv_config_error(
            network, error, "networks: '%.64s' is no name of letters, digits, _ . -", network->key);
    }
    if (network->type != DV_YAML_LIST || network->first == NULL) {
        return dv_config_error(network, error, "networks: '%s' wants a list like [\"10.0.0.0/24\"]",
                               network->key);
    }
    size_t count = 0;
    for (const dv_yaml *node = network->first; node != NULL; node = node->next) {
        if (++count > DV_NETWORK_ADDRESSES_MAX) {
            return dv_config_error(node, error, "networks: '%s' has more than %d entries",
                                   network->key, DV_NETWORK_ADDRESSES_MAX);
        }
        DV_TRY(check_address(node, error));
    }
    return DV_OK;
}

dv_result dv_config_check_networks(const dv_yaml *networks, dv_error *error)
{
    if (networks->type != DV_YAML_MAP) {
        return dv_config_error(networks, error,
                               "'networks' wants names, each with a list of addresses");
    }
    size_t count = 0;
    for (const dv_yaml *node = networks->first; node != NULL; node = node->next) {
        if (++count > DV_NETWORKS_MAX) {
            return dv_config_error(node, error, "more than %d networks", DV_NETWORKS_MAX);
        }
        DV_TRY(check_network(node, error));
    }
    return DV_OK;
}

static dv_result rule_text(const dv_yaml *rule, const char *key, const dv_yaml **ret_node,
                           const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(rule, key);
    if (node == NULL) {
        return dv_config_error(rule, error, "this firewall rule lacks '%s'", key);
    }
    if (node->type != DV_YAML_SCALAR || node->text[0] == '\0') {
        return dv_config_error(node, error, "'%s' of a firewall rule is a single value", key);
    }
    *ret_node = node;
    *ret_text = node->text;
    return DV_OK;
}

/* "443", "8000-8100" or "*": the first and last port. */
static bool parse_ports(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
    if (is_any(text)) {
        *ret_first = 0;
        *ret_last = UINT16_MAX;
        return true;
    }
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    unsigned long first = strtoul(text, &end, 10);
    unsigned long last = first;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
        last = strtoul(end + 1, &end, 10);
    }
    if (*end != '\0' || first == 0 || last < first || last > UINT16_MAX) {
        return false;
    }
    *ret_first = (uint16_t)first;
    *ret_last = (uint16_t)last;
    return true;
}

static dv_result check_port(const dv_yaml *rule, const char *protocol, dv_error *error)
{
    const dv_yaml *node = NULL;
    const char *text = NULL;
    uint16_t first = 0;
    uint16_t last = 0;
    DV_TRY(rule_text(rule, "port", &node, &text, error));
    if (!parse_ports(text, &first, &last)) {
        return dv_config_error(node, error,
                               "port '%.32s': a port is 1 to 65535, a range like 8000-8100, or "
                               "\"*\"",
                               text);
    }
    if (strcmp(protocol, "icmp") == 0 && !is_any(text)) {
        return dv_config_error(node, error, "icmp has no ports: write port: \"*\"");
    }
    return DV_OK;
}

static dv_result check_source(const dv_yaml *rule, const dv_yaml *networks, dv_error *error)
{
    const dv_yaml *node = NULL;
    const char *text = NULL;
    DV_TRY(rule_text(rule, "source", &node, &text, error));
    if (is_any(text)) {
        return DV_OK;
    }
    if (looks_like_address(text)) {
        return check_address(node, error);
    }
    if (networks == NULL || dv_yaml_get(networks, text) == NULL) {
        return dv_config_error(node, error,
                               "source '%.64s' is not defined: add it under 'networks', or "
                               "write an address, a network or \"*\"",
                               text);
    }
    return DV_OK;
}

static dv_result check_rule(const dv_yaml *rule, const dv_yaml *networks, dv_error *error)
{
    if (rule->type != DV_YAML_MAP) {
        return dv_config_error(rule, error,
                               "a firewall rule looks like {name: \"HTTPS\", port: 443, protocol: "
                               "tcp, source: \"0.0.0.0/0\", action: allow}");
    }
    DV_TRY(dv_yaml_check_keys(rule, rule_keys, error));
    const dv_yaml *node = NULL;
    const char *text = NULL;
    DV_TRY(rule_text(rule, "name", &node, &text, error));
    DV_TRY(rule_text(rule, "action", &node, &text, error));
    if (!dv_config_one_of(text, rule_actions)) {
        return dv_config_error(node, error, "action '%.32s': it is allow or deny", text);
    }
    DV_TRY(rule_text(rule, "protocol", &node, &text, error));
    if (!dv_config_one_of(text, rule_protocols)) {
        return dv_config_error(node, error, "protocol '%.32s': it is tcp, udp, icmp or \"*\"",
                               text);
    }
    DV_TRY(check_port(rule, text, error));
    return check_source(rule, networks, error);
}

static dv_result check_unique_name(const dv_yaml *rules, const dv_yaml *rule, dv_error *error)
{
    const char *name = dv_yaml_get(rule, "name")->text;
    for (const dv_yaml *other = rules->first; other != rule; other = other->next) {
        if (strcmp(dv_yaml_get(other, "name")->text, name) == 0) {
            return dv_config_error(rule, error,
                                   "there is a firewall rule '%.64s' already, in line %d", name,
                                   other->line);
        }
    }
    return DV_OK;
}

dv_result dv_config_check_rules(const dv_yaml *rules, const dv_yaml *networks, dv_error *error)
{
    if (rules->type != DV_YAML_LIST) {
        return dv_config_error(rules, error, "'firewall_rules' wants a list of rules");
    }
    size_t count = 0;
    for (const dv_yaml *rule = rules->first; rule != NULL; rule = rule->next) {
        if (++count > DV_RULES_MAX) {
            return dv_config_error(rule, error, "more than %d firewall rules", DV_RULES_MAX);
        }
        DV_TRY(check_rule(rule, networks, error));
        DV_TRY(check_unique_name(rules, rule, error));
    }
    return DV_OK;
}

typedef struct access_list {
    dv_config_access *entries;
    size_t count;
} access_list;

/* With entries NULL it only counts. */
static void add(access_list *list, bool allow, const char *source)
{
    if (list->entries != NULL) {
        list->entries[list->count] = (dv_config_access){allow, source};
    }
    list->count++;
}

static void add_rule(access_list *list, const dv_yaml *rule, const dv_yaml *networks)
{
    bool allow = strcmp(dv_yaml_get(rule, "action")->text, "allow") == 0;
    const char *source = dv_yaml_get(rule, "source")->text;
    if (is_any(source)) {
        if (!allow) {
            add(list, true, "127.0.0.0/8");
            add(list, true, "::1");
        }
        add(list, allow, "all");
        return;
    }
    const dv_yaml *network = looks_like_address(source) ? NULL : dv_yaml_get(networks, source);
    if (network == NULL) {
        add(list, allow, source);
        return;
    }
    for (const dv_yaml *node = network->first; node != NULL; node = node->next) {
        add(list, allow, node->text);
    }
}

static bool rule_meets_port(const dv_yaml *rule, uint16_t port)
{
    const char *protocol = dv_yaml_get(rule, "protocol")->text;
    uint16_t first = 0;
    uint16_t last = 0;
    return (strcmp(protocol, "tcp") == 0 || is_any(protocol)) &&
           parse_ports(dv_yaml_get(rule, "port")->text, &first, &last) && port >= first &&
           port <= last;
}

static void collect(access_list *list, const dv_yaml *rules, const dv_yaml *networks, uint16_t port)
{
    for (const dv_yaml *rule = rules->first; rule != NULL; rule = rule->next) {
        if (rule_meets_port(rule, port)) {
            add_rule(list, rule, networks);
        }
    }
}

dv_result dv_config_rules_for_port(const dv_yaml *rules, const dv_yaml *networks, uint16_t port,
                                   dv_arena *arena, const dv_config_access **ret_access,
                                   size_t *ret_count)
{
    access_list list = {0};
    collect(&list, rules, networks, port);
    list.entries = dv_arena_alloc(arena, (list.count + 1) * sizeof *list.entries);
    if (list.entries == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    list.count = 0;
    collect(&list, rules, networks, port);
    *ret_access = list.entries;
    *ret_count = list.count;
    return DV_OK;
}
