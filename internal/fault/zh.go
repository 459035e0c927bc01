package fault

// catalogue is the Chinese of every message of this repository, by its English format, as gettext has it: the same verbs, in
// another order by index (%[2]d) where Chinese wants it. A format that several rooms use stands with the first of them.
// Errors with the code Internal are in none: nobody is shown their text.
func catalogue() []map[string]string {
	return []map[string]string{
		zhAdmin, zhRooms, zhInternal, zhWechat, zhSimulator, zhSegments, zhWebhooks, zhLinks, zhStream, zhCaps, zhTriggers, zhCampaignSteps, zhLists, zhFigures, zhDrips, zhForecast,
		zhConnecting,
	}
}
