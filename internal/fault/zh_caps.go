package fault

// zhCaps has the messages of the weekly and monthly caps.
var zhCaps = map[string]string{
	"a monthly cap is 0 to %d, not %d; leave it out for none":                              "每月上限应为 0 到 %d，现在是 %d；不限制请留空",
	"a monthly cap of %d is below the daily cap of %d; raise it, or lower the daily one":   "每月上限 %d 低于每日上限 %d，请调高每月上限，或调低每日上限",
	"a monthly cap of %d is below the weekly cap of %d; raise it, or lower the weekly one": "每月上限 %d 低于每周上限 %d，请调高每月上限，或调低每周上限",
	"a weekly cap is 0 to %d, not %d; leave it out for none":                               "每周上限应为 0 到 %d，现在是 %d；不限制请留空",
	"a weekly cap of %d is below the daily cap of %d; raise it, or lower the daily one":    "每周上限 %d 低于每日上限 %d，请调高每周上限，或调低每日上限",
}
