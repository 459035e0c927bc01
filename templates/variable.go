package templates

import (
	"strconv"
	"strings"
	"time"
)

// variable is one of the closed list of names that a placeholder may hold.
type variable uint8

const (
	varNickname variable = iota + 1
	varRemark
	varScene
	varFollowDays
	varAccountName
	varDate
)

// Variable describes a name for the forms in which members write messages.
type Variable struct {
	Name string
	// MayBeEmpty tells that a fan may have no such value, so that a placeholder needs a fallback.
	MayBeEmpty bool
}

// Variables lists the names that a placeholder may hold.
func Variables() []Variable {
	out := make([]Variable, 0, varDate)
	for v := varNickname; v <= varDate; v++ {
		out = append(out, Variable{Name: v.name(), MayBeEmpty: v.mayBeEmpty()})
	}
	return out
}

func (v variable) name() string {
	switch v {
	case varNickname:
		return "nickname"
	case varRemark:
		return "remark"
	case varScene:
		return "scene"
	case varFollowDays:
		return "follow_days"
	case varAccountName:
		return "account_name"
	default:
		return "date"
	}
}

func (v variable) mayBeEmpty() bool { return v != varAccountName && v != varDate }

func variableNamed(name string) (variable, bool) {
	for v := varNickname; v <= varDate; v++ {
		if v.name() == name {
			return v, true
		}
	}
	return 0, false
}

func variableNames() string {
	names := make([]string, 0, varDate)
	for v := varNickname; v <= varDate; v++ {
		names = append(names, v.name())
	}
	return strings.Join(names, ", ")
}

// Vars are the values of one fan at one moment. An empty value gives way to the placeholder's fallback.
type Vars struct {
	Nickname    string // nickname
	Remark      string // remark: what the account's members call the fan
	Scene       string // scene: the channel by which the fan came
	AccountName string // account_name
	FollowedAt  int64  // unix ms, 0 unknown; follow_days counts calendar days from it, the day itself being 1
	// Now is when the message is rendered, in the account's zone; date is its day, written 2026-01-31.
	Now time.Time
	// Links says what stands in place of addresses of a template that tracks links; an address that is missing stands as it is.
	Links map[string]string
}

// value is the text of a variable; blank when the fan has none.
func (v *Vars) value(name variable) string {
	switch name {
	case varNickname:
		return v.Nickname
	case varRemark:
		return v.Remark
	case varScene:
		return v.Scene
	case varFollowDays:
		return v.followDays()
	case varAccountName:
		return v.AccountName
	default:
		return v.Now.Format(time.DateOnly)
	}
}

func (v *Vars) followDays() string {
	if v.FollowedAt == 0 {
		return ""
	}
	days := dayOf(v.Now) - dayOf(time.UnixMilli(v.FollowedAt).In(v.Now.Location())) + 1
	if days < 1 {
		return ""
	}
	return strconv.Itoa(days)
}

// dayOf numbers the calendar day of t in t's zone.
func dayOf(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
}
