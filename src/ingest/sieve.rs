//! Looks at every frame and says where it goes.
