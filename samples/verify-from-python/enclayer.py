"""libenclayer.so for Python: is a quote of SGX or TDX, or the RA-TLS certificate of a TLS peer, to be trusted?

    library = Library()
    verifier = library.verifier(policy=open("policy.json").read())
    collateral = library.collateral(open("collateral.json").read())
    verdict = verifier.check(quote, collateral, at=time.time(), report_data=nonce)
    if verdict.trusted:
        print(verdict.enclave or verdict.td)

One file without dependencies, to be copied; it calls include/enclayer/enclayer.h of version 0.2 or newer through ctypes. A
verifier may be used by any number of threads, and judges the next quote of a platform sooner.
"""

from __future__ import annotations

import ctypes
import datetime
import enum
import json
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint8, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any, Optional, Union

OK, INVALID_ARGUMENT, UNTRUSTED, OUT_OF_MEMORY = range(4)  # what functions return

# The fields of a verdict that are bytes, numbers and texts, in the order of enclayer.h.
(MR_ENCLAVE, MR_SIGNER, MR_TD, RTMR0, RTMR1, RTMR2, RTMR3, MR_CONFIG_ID, MR_OWNER, MR_OWNER_CONFIG, MR_SERVICE_TD, MR_SEAM,
 REPORT_DATA, FMSPC, PCE_ID, PPID, PLATFORM_INSTANCE_ID, ATTESTED_KEY, NONCE) = range(1, 20)
(ISV_PROD_ID, ISV_SVN, DEBUG, TD_ATTRIBUTES, XFAM, TCB_DATE, TCB_EVALUATION_DATA_NUMBER, COLLATERAL_ISSUED,
 LACKING_SINCE) = range(1, 10)
DETAIL, TEE, PLATFORM_TCB_STATUS, TDX_MODULE_TCB_STATUS, QE_TCB_STATUS, CURRENT_TCB_STATUS = range(1, 7)


class Error(Exception):
    """A root, a policy or collateral that is no good, or no memory. A quote that is not trusted is a verdict."""


class Kind(enum.IntEnum):
    QUOTE = 0  # as it came from the platform
    EVIDENCE = 1  # a quote or a certificate in any form: bytes, hex, base64, PEM, JSON
    RA_TLS = 2  # a certificate, and nothing else


@dataclass(frozen=True)
class Enclave:
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    debug: bool
    report_data: bytes


@dataclass(frozen=True)
class Td:
    mr_td: bytes
    rtmr: tuple[bytes, bytes, bytes, bytes]
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    mr_service_td: Optional[bytes]  # None: TDX 1.0 does not say
    mr_seam: bytes
    td_attributes: int
    xfam: int
    debug: bool
    report_data: bytes


@dataclass(frozen=True)
class Tcb:
    status: str  # "UpToDate", of all parts together
    platform: str
    tdx_module: Optional[str]
    qe: str
    current: Optional[str]  # of a TD of TDX 1.5: with the module that runs now
    date: datetime.datetime  # of the platform's level
    evaluation_data_number: int
    advisory_ids: tuple[str, ...]
    lacking_since: Optional[datetime.datetime]


@dataclass(frozen=True)
class Verdict:
    """What became of one quote. Where verification failed, `tcb`, `enclave` and `td` are None."""

    trusted: bool
    reason: str
    detail: str  # for people
    simulated: bool
    expires: Optional[datetime.datetime]  # not to be kept for longer
    fmspc: Optional[bytes]
    ppid: Optional[bytes]
    tcb: Optional[Tcb]
    enclave: Optional[Enclave]
    td: Optional[Td]
    attested_key: Optional[bytes]  # SHA-256 of the key that an RA-TLS certificate speaks for
    nonce: Optional[bytes]
    text: str  # all of it: docs/verify-output.md

    def as_json(self) -> dict[str, Any]:
        return json.loads(self.text)


class Library:
    def __init__(self, path: str = "libenclayer.so.0") -> None:
        lib = self.functions = ctypes.CDLL(path)
        content, why = [c_char_p, c_size_t], [c_char_p, c_size_t]
        lib.enclayer_version.restype = c_char_p
        lib.enclayer_verifier_new.argtypes = [*content, *content, POINTER(c_void_p), *why]
        lib.enclayer_collateral_new.argtypes = [*content, *content, POINTER(c_void_p), *why]
        lib.enclayer_check.argtypes = [c_void_p, c_int, *content, c_void_p, c_char_p, c_char_p, c_int64, POINTER(c_void_p)]
        for free in (lib.enclayer_verdict_free, lib.enclayer_verifier_free, lib.enclayer_collateral_free):
            free.argtypes, free.restype = [c_void_p], None
        for text in (lib.enclayer_verdict_reason, lib.enclayer_verdict_tcb_status, lib.enclayer_verdict_json):
            text.argtypes, text.restype = [c_void_p], c_char_p
        lib.enclayer_verdict_trusted.argtypes = lib.enclayer_verdict_simulated.argtypes = [c_void_p]
        lib.enclayer_verdict_expires.argtypes, lib.enclayer_verdict_expires.restype = [c_void_p], c_int64
        lib.enclayer_verdict_bytes.argtypes = [c_void_p, c_int, POINTER(c_size_t)]
        lib.enclayer_verdict_bytes.restype = POINTER(c_uint8)
        lib.enclayer_verdict_number.argtypes = [c_void_p, c_int, POINTER(c_uint64)]
        lib.enclayer_verdict_text.argtypes, lib.enclayer_verdict_text.restype = [c_void_p, c_int], c_char_p
        lib.enclayer_verdict_advisory.argtypes, lib.enclayer_verdict_advisory.restype = [c_void_p, c_size_t], c_char_p

    @property
    def version(self) -> str:
        return self.functions.enclayer_version().decode()

    def verifier(self, policy: Optional[str] = None, root_pem: Optional[str] = None) -> Verifier:
        """Without a root: Intel's. Without a policy: UpToDate, no debug enclave or TD, no simulated platform."""
        return Verifier(self, _made(self.functions.enclayer_verifier_new, _bytes(root_pem), _bytes(policy)))

    def collateral(self, text: str, quote: Optional[bytes] = None) -> Collateral:
        """Parsed once for any number of quotes. The quote is needed for collateral of many platforms only."""
        return Collateral(self, _made(self.functions.enclayer_collateral_new, quote, _bytes(text)))


class Collateral:
    def __init__(self, library: Library, handle: c_void_p) -> None:
        self.library, self.handle = library, handle

    def __del__(self) -> None:
        self.library.functions.enclayer_collateral_free(self.handle)


class Verifier:
    def __init__(self, library: Library, handle: c_void_p) -> None:
        self.library, self.handle = library, handle

    def __del__(self) -> None:
        self.library.functions.enclayer_verifier_free(self.handle)

    def check(
        self,
        evidence: bytes,
        collateral: Optional[Collateral],
        at: Union[float, datetime.datetime],
        kind: Kind = Kind.EVIDENCE,
        report_data: Optional[bytes] = None,
    ) -> Verdict:
        """`collateral` None: that which an RA-TLS certificate carries. `report_data`: its first bytes, up to 64, have to be
        these (a nonce, the hash of a key), beside all that the policy asks for."""
        seconds = int(at.timestamp() if isinstance(at, datetime.datetime) else at)
        wanted = mask = None
        if report_data is not None:
            if not 1 <= len(report_data) <= 64:
                raise ValueError(f"report data has 1 to 64 bytes, not {len(report_data)}")
            wanted = report_data.ljust(64, b"\0")
            mask = (b"\xff" * len(report_data)).ljust(64, b"\0")
        lib, verdict = self.library.functions, c_void_p()
        result = lib.enclayer_check(self.handle, kind, evidence, len(evidence), collateral and collateral.handle, wanted, mask,
                                    seconds, byref(verdict))
        if result not in (OK, UNTRUSTED):
            raise Error(f"enclayer_check() returned {result}")
        try:
            return _Reader(lib, verdict).verdict()
        finally:
            lib.enclayer_verdict_free(verdict)


class _Reader:
    """The fields of one verdict."""

    def __init__(self, lib: ctypes.CDLL, verdict: c_void_p) -> None:
        self.lib, self.of = lib, verdict

    def bytes(self, field: int) -> Optional[bytes]:
        size = c_size_t()
        found = self.lib.enclayer_verdict_bytes(self.of, field, byref(size))
        return ctypes.string_at(found, size.value) if found else None

    def number(self, field: int) -> Optional[int]:
        value = c_uint64()
        return value.value if self.lib.enclayer_verdict_number(self.of, field, byref(value)) else None

    def time(self, field: int) -> Optional[datetime.datetime]:
        seconds = self.number(field)
        return None if seconds is None else _time(seconds)

    def text(self, field: int) -> Optional[str]:
        found = self.lib.enclayer_verdict_text(self.of, field)
        return None if found is None else found.decode(errors="replace")

    def verdict(self) -> Verdict:
        lib, of = self.lib, self.of
        expires = lib.enclayer_verdict_expires(of)
        tee = self.text(TEE)
        return Verdict(
            trusted=lib.enclayer_verdict_trusted(of) == 1,
            reason=lib.enclayer_verdict_reason(of).decode(),
            detail=self.text(DETAIL) or "",
            simulated=lib.enclayer_verdict_simulated(of) == 1,
            expires=None if expires < 0 else _time(expires),
            fmspc=self.bytes(FMSPC),
            ppid=self.bytes(PPID),
            tcb=self.tcb() if tee else None,
            enclave=self.enclave() if tee == "SGX" else None,
            td=self.td() if tee == "TDX" else None,
            attested_key=self.bytes(ATTESTED_KEY),
            nonce=self.bytes(NONCE),
            text=lib.enclayer_verdict_json(of).decode(),
        )

    def tcb(self) -> Tcb:
        advisories = []
        while (one := self.lib.enclayer_verdict_advisory(self.of, len(advisories))) is not None:
            advisories.append(one.decode())
        return Tcb(
            status=self.lib.enclayer_verdict_tcb_status(self.of).decode(),
            platform=self.text(PLATFORM_TCB_STATUS),
            tdx_module=self.text(TDX_MODULE_TCB_STATUS),
            qe=self.text(QE_TCB_STATUS),
            current=self.text(CURRENT_TCB_STATUS),
            date=self.time(TCB_DATE),
            evaluation_data_number=self.number(TCB_EVALUATION_DATA_NUMBER),
            advisory_ids=tuple(advisories),
            lacking_since=self.time(LACKING_SINCE),
        )

    def enclave(self) -> Enclave:
        return Enclave(
            mr_enclave=self.bytes(MR_ENCLAVE),
            mr_signer=self.bytes(MR_SIGNER),
            isv_prod_id=self.number(ISV_PROD_ID),
            isv_svn=self.number(ISV_SVN),
            debug=self.number(DEBUG) == 1,
            report_data=self.bytes(REPORT_DATA),
        )

    def td(self) -> Td:
        return Td(
            mr_td=self.bytes(MR_TD),
            rtmr=tuple(self.bytes(field) for field in (RTMR0, RTMR1, RTMR2, RTMR3)),
            mr_config_id=self.bytes(MR_CONFIG_ID),
            mr_owner=self.bytes(MR_OWNER),
            mr_owner_config=self.bytes(MR_OWNER_CONFIG),
            mr_service_td=self.bytes(MR_SERVICE_TD),
            mr_seam=self.bytes(MR_SEAM),
            td_attributes=self.number(TD_ATTRIBUTES),
            xfam=self.number(XFAM),
            debug=self.number(DEBUG) == 1,
            report_data=self.bytes(REPORT_DATA),
        )


def _made(new: Any, first: Optional[bytes], second: Optional[bytes]) -> c_void_p:
    """Of the functions that make something of two contents and say why they cannot."""
    handle, why = c_void_p(), ctypes.create_string_buffer(512)
    result = new(first, len(first or b""), second, len(second or b""), byref(handle), why, len(why))
    if result != OK:
        raise Error(why.value.decode(errors="replace") or f"error {result}")
    return handle


def _bytes(text: Optional[str]) -> Optional[bytes]:
    return None if text is None else text.encode()


def _time(seconds: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
