// Package arguments merges flags as K3s does.
package arguments

import (
	"maps"
	"slices"
	"strings"
)

// Merge lays extra arguments over defaults by the rules of K3s's kube-apiserver-arg, so
// that one list means the same to both: `name=value` replaces the default, `name+=value` comes
// after it, `name-=value` before it, a bare name is a switch that is on, and what is named more
// than once is passed more than once. The answer is sorted by name; the values of one name keep
// their order.
func Merge(defaults map[string]string, extra []string) []string {
	remaining := maps.Clone(defaults)
	values := make(map[string][]string)
	for _, argument := range extra {
		operator, value, found := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
		if !found {
			value = "true"
		}
		name := strings.TrimRight(operator, "+-")
		var initial []string
		if text, ok := remaining[name]; ok {
			initial = []string{text}
		}
		given := values[name]
		switch {
		case strings.HasSuffix(operator, "+"):
			values[name] = slices.Concat(initial, given, []string{value})
		case strings.HasSuffix(operator, "-"):
			values[name] = slices.Concat([]string{value}, initial, given)
		default:
			values[name] = slices.Concat(given, []string{value})
		}
		// Applied (or replaced) once: what follows sees it among the given ones.
		delete(remaining, name)
	}
	for name, value := range remaining {
		values[name] = []string{value}
	}
	var merged []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			merged = append(merged, "--"+name+"="+value)
		}
	}
	return merged
}

// Names answers whether one of the extra arguments sets the flag.
func Names(extra []string, flag string) bool {
	return slices.ContainsFunc(extra, func(argument string) bool {
		operator, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
		return strings.TrimRight(operator, "+-") == flag
	})
}

// Value is what the extra arguments set the flag to, the last of them; empty when none does.
func Value(extra []string, flag string) string {
	last := ""
	for _, argument := range extra {
		operator, value, found := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
		if found && strings.TrimRight(operator, "+-") == flag {
			last = value
		}
	}
	return last
}
