package accounts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PermitMessages is the permission set 权限集 of pushes and customer-service messages (platform.md 1.5). Which other sets stand for what is in the
// table of capabilities.
const PermitMessages = 1

// Authorised reports whether anything may be done in the account's name: always by its own secret, by a component until the owner withdraws.
func (a *Account) Authorised() bool {
	return a.Connection != ConnectionComponent || len(a.Permissions) > 0
}

// Permits reports whether the account's owner granted one of the permission sets. By the account's own secret, everything is granted.
func (a *Account) Permits(sets ...int) bool {
	return a.Connection != ConnectionComponent || slices.ContainsFunc(sets, func(set int) bool { return slices.Contains(a.Permissions, set) })
}

// MaySendKefu reports whether the account has the right to customer-service messages: May(CustomerService), for a path that is taken for every step.
func (a *Account) MaySendKefu() bool { return a.Verified && a.Permits(PermitMessages) }

// May reports whether the account has a capability for certain, by its type (platform.md 0.2) and by the permission sets that its owner granted. What
// the platform answers when it is asked may say otherwise: see Rights.
func (a *Account) May(c Capability) bool { return slices.Contains(a.Capabilities(), c) }

// Capabilities lists what the account may do: see May.
func (a *Account) Capabilities() []Capability {
	if !a.Authorised() {
		return nil
	}
	f := &facts{kind: a.Kind, verified: a.Verified, component: a.Connection == ConnectionComponent, sets: append([]int{}, a.Permissions...)}
	var out []Capability
	for _, right := range deriveRights(f, nil, 0) {
		if right.Permission == Allowed {
			out = append(out, right.Capability)
		}
	}
	return out
}

// formatPermissions writes permission sets for a column: "1,2,15".
func formatPermissions(sets []int) string {
	ids := make([]string, len(sets))
	for i, set := range sets {
		ids[i] = strconv.Itoa(set)
	}
	return strings.Join(ids, ",")
}

// parsePermissions is the inverse of formatPermissions.
func parsePermissions(column string) ([]int, error) {
	if column == "" {
		return nil, nil
	}
	var out []int
	for id := range strings.SplitSeq(column, ",") {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("read permission sets: %w", err)
		}
		out = append(out, n)
	}
	return out, nil
}
