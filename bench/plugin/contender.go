package main

import "strconv"

// contender is one plugin with one set of options, always started the same way.
type contender struct {
	name      string
	program   string // key of the stand's programs
	arguments []string
	resources []string // it has registered when all of these are
	measured  string   // the one that is listed and allocated from
}

const (
	enclayerProgram = "enclayer-device-plugin"
	intelProgram    = "sgx_plugin"
)

func enclayer(gibibytes int) *contender {
	const epc = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
	size := strconv.Itoa(gibibytes) + "Gi"
	return &contender{
		name:    "enclayer " + size,
		program: enclayerProgram,
		arguments: []string{
			"--platform", "sim", "--sim-epc", size, "--sim-device", enclaveNode, "--kubelet-dir", kubeletFolder, "--slots-dir", kubeletFolder + "/quotes", "--log-level", "warn",
		},
		resources: []string{epc},
		measured:  epc,
	}
}

// Offers this many sgx.intel.com/enclave and nothing else, as enclayer offers EPC and nothing else.
func intel(devices int) *contender {
	const enclave = "sgx.intel.com/enclave"
	return &contender{
		name:      "Intel " + strconv.Itoa(devices),
		program:   intelProgram,
		arguments: []string{"-enclave-limit", strconv.Itoa(devices), "-provision-limit", "0"},
		resources: []string{enclave},
		measured:  enclave,
	}
}

// As its DaemonSet starts it: 110 devices each of two resources.
func intelAsInstalled() *contender {
	const enclave = "sgx.intel.com/enclave"
	return &contender{
		name:      "Intel as installed",
		program:   intelProgram,
		resources: []string{enclave, "sgx.intel.com/provision"},
		measured:  enclave,
	}
}

// pairing is one section of the table.
type pairing struct {
	Title    string
	enclayer *contender
	intel    *contender
	goals    map[measure]float64 // what enclayer wants to reach: at most this
}

const registerGoal, allocateManyGoal = 50, 50

func pairings() []pairing {
	small, medium, large := enclayer(8), enclayer(128), enclayer(256)
	smallGoals := map[measure]float64{
		registeredWaiting: registerGoal, registeredRestart: registerGoal,
		residentListed: 12, residentAllocated: 12, residentIdle: 12,
	}
	return []pairing{
		{"8 GiB: 8,192 devices, Intel's as installed: 110 enclave and 110 provision devices", small, intelAsInstalled(), smallGoals},
		{"8 GiB: 8,192 devices each", small, intel(8_192), smallGoals},
		{"128 GiB: 131,072 devices each", medium, intel(131_072), map[measure]float64{
			registeredWaiting: registerGoal, registeredRestart: registerGoal, allocateMany: allocateManyGoal,
		}},
		{"256 GiB: 262,144 devices each", large, intel(262_144), map[measure]float64{
			registeredWaiting: registerGoal, registeredRestart: registerGoal,
			listFirstByte: 150, allocateMany: allocateManyGoal,
			residentListed: 20, residentAllocated: 20, residentIdle: 20,
		}},
	}
}
