package simulator_test

// controlRoutes says by which route of the control API each method is reached.
func controlRoutes() map[string]string {
	return map[string]string{
		"Accounts": "GET /_sim/accounts", "AddAccount": "POST /_sim/accounts", "UpdateAccount": "POST /_sim/account",
		"SetCallback": "POST /_sim/callback", "CheckURL": "POST /_sim/callback", "SetLimit": "POST /_sim/limits",
		"Supersede": "POST /_sim/supersede", "BindOpenPlatform": "POST /_sim/open-platform",
		"SetStatisticsDelayed": "POST /_sim/statistics/delay", "UsePermanentQRCodes": "POST /_sim/qrcodes/use",
		"SetAgentOnline": "POST /_sim/agent", "AnswerInvitation": "POST /_sim/agent/invitation",
		"Tags": "GET /_sim/tags", "TagFan": "POST /_sim/tag",

		"AddFan": "POST /_sim/fans", "AddFans": "POST /_sim/fans", "Fan": "GET /_sim/fans", "Fans": "GET /_sim/fans",
		"SetFanFlags": "POST /_sim/fan", "GrantFan": "POST /_sim/grant", "SetClient": "POST /_sim/client",
		"Do": "POST /_sim/act", "Post": "POST /_sim/post", "Wait": "POST /_sim/wait",
		"OpenSession": "POST /_sim/session", "CloseSession": "POST /_sim/session", "AgentSays": "POST /_sim/session",

		"SetWebDomains": "POST /_sim/web/domains", "SetWebVisitor": "POST /_sim/web/visitor",
		"EndConsents": "POST /_sim/web/end-consents", "SetJSDomains": "POST /_sim/js/domains", "CheckJSConfig": "POST /_sim/js/check",
		"MenuOf": "GET /_sim/menu", "SetWebsiteMenu": "POST /_sim/menu/website",

		"Media": "GET /_sim/media", "PutMedia": "POST /_sim/media", "RefuseMedia": "POST /_sim/media/refuse",
		"AddWebsiteMaterial": "POST /_sim/material",

		"AddComponent": "POST /_sim/components", "UpdateComponent": "POST /_sim/component", "PushTicket": "POST /_sim/component/ticket",
		"RunTickets": "POST /_sim/component/tickets", "Authorise": "POST /_sim/component/authorise", "Withdraw": "POST /_sim/component/withdraw",

		"MassSends": "GET /_sim/mass", "RunMass": "POST /_sim/mass/run", "AnswerMass": "POST /_sim/mass/answer",
		"FailNextMass": "POST /_sim/mass/fail", "SetReprint": "POST /_sim/mass/reprint", "SetMassAgreement": "POST /_sim/mass/agreement",
		"SetWxName": "POST /_sim/mass/name", "MassReceived": "GET /_sim/mass/received",

		"AddTemplate": "POST /_sim/templates", "AddNoticeTemplate": "POST /_sim/templates", "SetTemplateState": "POST /_sim/template",
		"TurnTemplateOff": "POST /_sim/template/off", "SetTemplateFaults": "POST /_sim/template-faults",
		"SetCategories": "POST /_sim/categories", "LinkMiniPrograms": "POST /_sim/mini-programs",
		"SetMarketingWords": "POST /_sim/marketing-words", "DeliverReceipts": "POST /_sim/receipts",
		"AnswerPopup": "POST /_sim/popup", "RejectNotices": "POST /_sim/notices/reject", "NoticeConsents": "GET /_sim/notices/consents",

		"Drafts": "GET /_sim/drafts", "SetPublishing": "POST /_sim/publishing",
		"FinishPublications": "POST /_sim/publishing/finish", "BanPublication": "POST /_sim/publishing/ban",

		"Arrivals": "GET /_sim/arrivals", "Duplicates": "GET /_sim/duplicates", "Pushes": "GET /_sim/pushes",
		"Redeliver": "POST /_sim/redeliver", "Calls": "GET /_sim/calls", "Counts": "GET /_sim/counts", "ResetRecord": "POST /_sim/reset",

		"FaultsSet": "GET /_sim/faults", "SetFaults": "POST /_sim/faults", "SetPushFaults": "POST /_sim/push-faults",
		"Switches": "GET /_sim/switches", "SetSwitches": "POST /_sim/switches", "Rules": "GET /_sim/rules", "SetRules": "POST /_sim/rules",
		"Clock": "GET /_sim/clock", "Advance": "POST /_sim/clock",
	}
}
