//go:build tools

// Package tools names the program that cri-tools.sh builds; critest is a test of its module.
package tools

import _ "sigs.k8s.io/cri-tools/cmd/crictl"
