package wechat

import "sort"

// Class is what an errcode means for the one who called (platform.md 12.3).
type Class uint8

// The classes.
const (
	ClassOK           Class = iota
	ClassRetry              // later, with back-off; a send only if its outcome is known or it carries an id
	ClassSlow               // 45011: the minute's quota is used up; go slower, retry in the next minute
	ClassQuota              // 45009, 45028: nothing more of this API today, or this month
	ClassToken              // the access token was refused; the client has handled it
	ClassFan                // give up for this fan
	ClassMessage            // this message, template or file is bad
	ClassStopCampaign       // stop the campaign and tell the members
	ClassStopAccount        // stop the account and tell the members
	ClassStopFeature        // this account may not use this API or kind of message
	ClassDone               // 45065: it was sent before under the same id; take msg_id from the answer
	ClassBug                // a mistake of ours: as ClassMessage, with an alert
	ClassReauthorise        // a grant of a person or a component has ended; ask for it again
	ClassIgnore             // of no consequence: typing signs, diagnoses
)

var classNames = [...]string{
	"ok", "retry", "slow", "quota", "token", "fan", "message", "stop_campaign", "stop_account", "stop_feature",
	"done", "bug", "reauthorise", "ignore",
}

// String is the name used in logs and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Codes that the client itself acts on.
const (
	codeBusy          = -1
	codeBadCredential = 40001
	codeBadToken      = 40014
	codeTokenExpired  = 42001
	codeComponentDead = 42006 // the component's access token expired
)

// tokenRejected reports whether the access token was refused. The platform's choice
// between the codes is not documented; all are definite and get the same answer.
func tokenRejected(code int) bool {
	return code == codeBadCredential || code == codeBadToken || code == codeTokenExpired || code == codeComponentDead
}

// ClassOf returns the class of an errcode. An unknown code is ClassMessage: it may
// concern one message only, and a run of failures stops the campaign by itself.
func ClassOf(code int) Class {
	i := sort.Search(len(codeClasses), func(i int) bool { return codeClasses[i].last >= code })
	if i < len(codeClasses) && code >= codeClasses[i].first {
		return codeClasses[i].class
	}
	return ClassMessage
}

// codeClasses is the table of platform.md 12.3, by code. 45065 and the like that stand
// alone have a range of one.
var codeClasses = [...]struct {
	first, last int
	class       Class
}{
	{-1, -1, ClassRetry},
	{0, 0, ClassOK},
	{40001, 40001, ClassToken}, // on the token API itself ClassStopAccount, see Error.Class
	{40002, 40002, ClassBug},
	{40003, 40003, ClassFan},
	{40004, 40007, ClassMessage},
	{40008, 40008, ClassBug},
	{40009, 40012, ClassMessage},
	{40013, 40013, ClassStopAccount},
	{40014, 40014, ClassToken},
	{40029, 40030, ClassReauthorise},
	{40031, 40033, ClassBug},
	{40035, 40035, ClassBug},
	{40036, 40037, ClassStopCampaign},
	{40039, 40039, ClassMessage},
	{40048, 40048, ClassMessage},
	{40052, 40053, ClassBug},
	{40059, 40060, ClassMessage},
	{40065, 40065, ClassMessage},
	{40097, 40097, ClassBug},
	{40101, 40101, ClassBug},
	{40118, 40118, ClassMessage},
	{40121, 40121, ClassMessage},
	{40125, 40125, ClassStopAccount},
	{40129, 40130, ClassBug},
	{40132, 40132, ClassMessage},
	{40137, 40137, ClassMessage},
	{40152, 40152, ClassStopCampaign},
	{40155, 40155, ClassMessage},
	{40163, 40163, ClassReauthorise},
	{40164, 40164, ClassStopAccount},
	{40200, 40200, ClassStopFeature},
	{40213, 40216, ClassMessage},
	{40243, 40243, ClassStopAccount},
	{40246, 40247, ClassMessage},
	{40249, 40249, ClassStopCampaign},
	{41001, 41009, ClassBug},
	{42001, 42001, ClassToken},
	{42002, 42002, ClassReauthorise},
	{42006, 42006, ClassToken}, // of a component
	{42007, 42007, ClassReauthorise},
	{43001, 43003, ClassBug},
	{43004, 43005, ClassFan},
	{43019, 43019, ClassFan},
	{43100, 43100, ClassStopFeature},
	{43101, 43101, ClassFan},
	{43106, 43106, ClassStopFeature},
	{43116, 43116, ClassStopCampaign},
	{43117, 43117, ClassFan},
	{44001, 44002, ClassBug},
	{44003, 44004, ClassMessage},
	{45001, 45008, ClassMessage},
	{45009, 45009, ClassQuota},
	{45010, 45010, ClassBug},
	{45011, 45011, ClassSlow},
	{45015, 45015, ClassFan},
	{45019, 45019, ClassBug},
	{45026, 45027, ClassStopFeature},
	{45028, 45028, ClassQuota},
	{45029, 45029, ClassStopFeature},
	{45034, 45034, ClassStopFeature},
	{45036, 45036, ClassFan},
	{45047, 45047, ClassFan},
	{45048, 45050, ClassMessage},
	{45052, 45052, ClassMessage},
	{45056, 45058, ClassStopFeature},
	{45059, 45059, ClassFan},
	{45062, 45062, ClassMessage},
	{45064, 45064, ClassMessage},
	{45065, 45065, ClassDone},
	{45066, 45066, ClassRetry},
	{45067, 45067, ClassBug},
	{45072, 45072, ClassIgnore},
	{45074, 45074, ClassStopFeature},
	{45080, 45081, ClassIgnore},
	{45083, 45083, ClassBug},
	{45084, 45085, ClassRetry},
	{45086, 45086, ClassMessage},
	{45087, 45087, ClassStopAccount},
	{45094, 45094, ClassStopFeature},
	{45098, 45099, ClassMessage},
	{45102, 45103, ClassStopFeature},
	{45109, 45109, ClassStopFeature},
	{45113, 45113, ClassStopFeature},
	{45157, 45159, ClassMessage},
	{45169, 45169, ClassRetry},
	{45171, 45171, ClassRetry},
	{45501, 45501, ClassStopAccount},
	{46001, 46003, ClassMessage},
	{46004, 46004, ClassFan},
	{47001, 47002, ClassBug},
	{47003, 47003, ClassMessage},
	{48001, 48001, ClassStopAccount},
	{48002, 48002, ClassFan},
	{48003, 48003, ClassStopFeature},
	{48004, 48004, ClassStopAccount},
	{48005, 48005, ClassMessage},
	{48006, 48006, ClassStopFeature},
	{48008, 48008, ClassMessage},
	{48011, 48011, ClassStopCampaign},
	{48013, 48014, ClassMessage},
	{49003, 49003, ClassFan},
	{50001, 50001, ClassStopAccount},
	{50002, 50002, ClassFan},
	{50003, 50004, ClassStopAccount},
	{50005, 50005, ClassFan},
	{50007, 50007, ClassStopAccount},
	{53404, 53406, ClassMessage},
	{53500, 53505, ClassMessage},
	{53600, 53600, ClassMessage},
	{61003, 61004, ClassStopAccount},
	{61005, 61006, ClassReauthorise},
	{61007, 61007, ClassStopAccount},
	{61009, 61010, ClassReauthorise},
	{61012, 61014, ClassBug},
	{61023, 61023, ClassReauthorise},
	{61450, 61457, ClassMessage},
	{61500, 61501, ClassBug},
	{61503, 61503, ClassRetry},
	{65301, 65320, ClassMessage},
	{65400, 65417, ClassMessage},
	{70000, 70000, ClassFan},
	{76001, 76004, ClassIgnore},
	{76021, 76022, ClassIgnore},
	{89501, 89505, ClassRetry},
	{89506, 89507, ClassStopAccount},
	{200011, 200022, ClassMessage},
	{9410010, 9410012, ClassMessage},
	{268487001, 268487002, ClassRetry},
	{268488001, 268488001, ClassRetry},
}
