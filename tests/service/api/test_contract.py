"""Made-up requests for every operation of the contract: no fault of the server, and answers as the contract says.

The run is short and always the same; `tests/slow/test_contract_long.py` makes many more.
"""

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lutra.service.api.app import contract as openapi_document
from lutra.service.api.testing import naming_what_is_there

from .conftest import OWNER, Live

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
contract = schemathesis.openapi.from_dict(openapi_document())


@contract.parametrize()
@settings(
    max_examples=8,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_answered_with_a_fault(case: schemathesis.Case, live: Live) -> None:
    if len(str(case.path_parameters)) % 2:  # every second request or so
        case = naming_what_is_there(case, {})
    case.call_and_validate(
        base_url=live.url, headers={"Authorization": f"Bearer {OWNER}"}, checks=list(CHECKS), timeout=60
    )
