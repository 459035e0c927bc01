// Package sdktest points published Go SDKs at the simulator, as they come from the module
// proxy, and asks whether its answers mean what the SDKs' types say. The README beside this
// file lists the SDKs, the families that are called, and what the SDKs get wrong.
//
// It is a module of its own, so that the SDKs never reach the product's go.mod, and holds
// nothing but tests. They do not look for goroutines that are left, because some of the
// SDKs leave theirs.
package sdktest
