//! EREPORT as the simulation mode of Intel's SDK computes it (linux-sgx sdk/simulation/tinst). Every key here is public.

use aes::Aes128;
use cmac::{Cmac, Mac};

pub const REPORT_SIZE: usize = 432;
pub const TARGET_INFO_SIZE: usize = 512;

const BODY_SIZE: usize = 384;
const CPU_SVN: [u8; 16] = [
    0x48, 0x20, 0xf3, 0x37, 0x6a, 0xe6, 0xb2, 0xf2, 0x03, 0x4d, 0x3b, 0x7a, 0x4b, 0x48, 0xa7, 0x78,
];
const BASE_REPORT_KEY: [u8; 16] = [
    0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0,
];
const OWNER_EPOCH: &[u8; 16] = b"THISISOWNEREPOCH";
const KEY_NAME_REPORT: u8 = 3;
const FLAGS_INIT_MODE64: u64 = 5;
const XFRM_LEGACY: u64 = 3;

pub struct Enclave {
    pub mr_enclave: [u8; 32],
    pub mr_signer: [u8; 32],
}

impl Enclave {
    /// This enclave as the target of other enclaves' reports.
    pub fn target_info(&self) -> [u8; TARGET_INFO_SIZE] {
        let mut target = [0; TARGET_INFO_SIZE];
        target[..32].copy_from_slice(&self.mr_enclave);
        target[32..48].copy_from_slice(&attributes());
        target
    }

    /// A report of this enclave for `target` (512 bytes).
    pub fn ereport(&self, target: &[u8], report_data: &[u8; 64]) -> Report {
        let mut bytes = [0; REPORT_SIZE];
        bytes[..16].copy_from_slice(&CPU_SVN);
        bytes[48..64].copy_from_slice(&attributes());
        bytes[64..96].copy_from_slice(&self.mr_enclave);
        bytes[128..160].copy_from_slice(&self.mr_signer);
        bytes[256] = 1; // isv_prod_id
        bytes[258] = 2; // isv_svn
        bytes[320..384].copy_from_slice(report_data);
        bytes[384..400].copy_from_slice(&BASE_REPORT_KEY); // key_id, its other half zero
        let mut report = Report { bytes };
        let mac = report.mac_for(target);
        report.bytes[416..].copy_from_slice(&mac);
        report
    }
}

pub struct Report {
    pub bytes: [u8; REPORT_SIZE],
}

impl Report {
    /// `bytes` must be 432 long.
    pub fn copied_from(bytes: &[u8]) -> Report {
        Report {
            bytes: bytes.try_into().expect("432 bytes"),
        }
    }

    pub fn mr_enclave(&self) -> &[u8] {
        &self.bytes[64..96]
    }

    pub fn report_data(&self) -> &[u8] {
        &self.bytes[320..384]
    }

    pub fn mac_is_for(&self, target: &[u8]) -> bool {
        self.bytes[416..] == self.mac_for(target)
    }

    fn mac_for(&self, target: &[u8]) -> [u8; 16] {
        let mut derivation = [0; 192];
        derivation[0] = KEY_NAME_REPORT;
        derivation[8..24].copy_from_slice(&target[32..48]); // flags, xfrm
        derivation[24..28].copy_from_slice(&target[52..56]); // misc_select
        derivation[28..44].copy_from_slice(OWNER_EPOCH);
        derivation[44..76].copy_from_slice(&target[..32]); // mr_enclave
        derivation[76..92].copy_from_slice(&self.bytes[..16]); // cpu_svn
        derivation[92..94].copy_from_slice(&target[50..52]); // config_svn
        derivation[94..158].copy_from_slice(&target[64..128]); // config_id
        derivation[158..190].copy_from_slice(&self.bytes[384..416]); // key_id
        cmac(
            &cmac(&BASE_REPORT_KEY, &derivation),
            &self.bytes[..BODY_SIZE],
        )
    }
}

fn attributes() -> [u8; 16] {
    let mut attributes = [0; 16];
    attributes[..8].copy_from_slice(&FLAGS_INIT_MODE64.to_le_bytes());
    attributes[8..].copy_from_slice(&XFRM_LEGACY.to_le_bytes());
    attributes
}

fn cmac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let mut mac = Cmac::<Aes128>::new(key.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answer of the SDK's own t_instructions.cpp.
    #[test]
    fn the_mac_is_the_one_of_intels_simulation_mode() {
        let mut target = [0; TARGET_INFO_SIZE];
        for (index, byte) in target[..32].iter_mut().enumerate() {
            *byte = index as u8;
        }
        target[32] = 5;
        target[40] = 3;
        let enclave = Enclave {
            mr_enclave: [0xA1; 32],
            mr_signer: [0xB2; 32],
        };
        let mut report = enclave.ereport(&target, &[0xC3; 64]);
        report.bytes[48] = 7; // the known answer is of a debug enclave
        let expected = [
            0xc9, 0x8e, 0xdc, 0xd9, 0x3c, 0xf8, 0x0f, 0x60, 0xfa, 0xd6, 0x53, 0x0c, 0xd1, 0xa4,
            0xb0, 0xbc,
        ];
        assert_eq!(report.mac_for(&target), expected);
    }
}
