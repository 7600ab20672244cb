package arguments

import (
	"slices"
	"testing"
)

func TestMergeArguments(t *testing.T) {
	plugins := map[string]string{"enable-admission-plugins": "NodeRestriction", "profiling": "false"}
	for name, c := range map[string]struct{ extra, want []string }{
		"nothing given leaves the defaults": {
			nil,
			[]string{"--enable-admission-plugins=NodeRestriction", "--profiling=false"},
		},
		"a plain value replaces the default": {
			[]string{"enable-admission-plugins=PodNodeSelector"},
			[]string{"--enable-admission-plugins=PodNodeSelector", "--profiling=false"},
		},
		"plus comes after the default": {
			[]string{"enable-admission-plugins+=PodNodeSelector"},
			[]string{
				"--enable-admission-plugins=NodeRestriction",
				"--enable-admission-plugins=PodNodeSelector", "--profiling=false",
			},
		},
		"minus comes before the default": {
			[]string{"enable-admission-plugins-=PodNodeSelector"},
			[]string{
				"--enable-admission-plugins=PodNodeSelector",
				"--enable-admission-plugins=NodeRestriction", "--profiling=false",
			},
		},
		"a repeated name is repeated, its default once": {
			[]string{"enable-admission-plugins+=A", "enable-admission-plugins+=B"},
			[]string{
				"--enable-admission-plugins=NodeRestriction", "--enable-admission-plugins=A",
				"--enable-admission-plugins=B", "--profiling=false",
			},
		},
		"a value may hold equals signs, a name may bear its dashes": {
			[]string{"--profiling=a=b"},
			[]string{"--enable-admission-plugins=NodeRestriction", "--profiling=a=b"},
		},
		"a bare name is a switch": {
			[]string{"profiling"},
			[]string{"--enable-admission-plugins=NodeRestriction", "--profiling=true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Merge(plugins, c.extra); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	if len(plugins) != 2 {
		t.Error("the defaults were changed")
	}
}

func TestNames(t *testing.T) {
	extra := []string{"authorization-config=/x", "--enable-admission-plugins+=A"}
	for flag, want := range map[string]bool{
		"authorization-config": true, "enable-admission-plugins": true,
		"authorization": false, "authentication-config": false,
	} {
		if Names(extra, flag) != want {
			t.Errorf("Names(%q) = %v", flag, !want)
		}
	}
}

func TestValue(t *testing.T) {
	extra := []string{"webhook=/a", "--webhook=/b=c", "switch", "other+=x"}
	for flag, want := range map[string]string{"webhook": "/b=c", "switch": "", "other": "x", "none": ""} {
		if got := Value(extra, flag); got != want {
			t.Errorf("Value(%q) = %q, want %q", flag, got, want)
		}
	}
}
