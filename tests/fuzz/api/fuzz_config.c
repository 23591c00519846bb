/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's configuration: any text is refused with a message or read whole. */
#include "room/api/gate/api_config.h"
#include "room/api/gate/api_request.h"

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const dv_api_config *config)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const dv_api_route *route = &config->routes[i];
        require(dv_api_path_is_normal(route->path) && route->protocol != NULL);
        require(route->request_policy < (int)config->policy_count);
        require(route->answer_policy < (int)config->policy_count);
        require(dv_api_route_find(config, route->methods, route->path) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dv_auto(api_config) dv_api_config *config = NULL;
    dv_error error = {0};
    if (dv_api_config_parse(dv_slice_of(data, size), &config, &error) == DV_OK) {
        check(config);
    } else {
        require(config == NULL && error.message[0] != '\0');
    }
    return 0;
}
